"""Arguments in and results out: every kind of array, every refusal with its text."""

import gc
import pickle
import re
import weakref
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from polydsl.backend.arrays import (
    ArrayLayout,
    allocate,
    layout_of,
    may_overlap,
    read_argument,
    read_scalar,
    result_like,
    write_argument,
)
from polydsl.base.diagnostics import ArgumentError
from polydsl.base.dtypes import (
    BF16,
    BOOL,
    DTYPES,
    F16,
    F32,
    F64,
    I8,
    I32,
    I64,
    U8,
    DType,
)

Array = npt.NDArray[Any]


def address(array: Array) -> int:
    return int(array.ctypes.data)


def refused(text: str) -> Any:
    return pytest.raises(ArgumentError, match=f"^{re.escape(text)}$")


# What is read without a copy


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_arrays_of_every_dtype_are_read_in_place(dtype: DType) -> None:
    array = np.zeros((2, 3), dtype.numpy)
    found = read_argument(array, "x", "f32[N, M]")
    assert found is array
    assert layout_of(found) == ArrayLayout(dtype, (2, 3), (3, 1))


@pytest.mark.parametrize(
    ("view", "strides"),
    [
        (lambda a: a.T, (1, 5, 20)),
        (lambda a: a[::-1, ::2, 1:3], (-20, 10, 1)),
        (lambda a: np.broadcast_to(a[0, 0], (2, 5)), (0, 1)),
        (lambda a: a[1, 2, 3], ()),
        (lambda a: a[:, None, 0, ::-1], (20, 5, -1)),
    ],
)
def test_any_strides_are_read_in_place(view: Any, strides: tuple[int, ...]) -> None:
    array = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    seen = np.asarray(view(array)) if np.ndim(view(array)) else array[1, 2, 3, ...]
    found = read_argument(seen, "x", "f32")
    assert address(found) == address(seen)
    assert layout_of(found).strides == strides


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_layout_reaches_every_element(data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    array = np.arange(np.prod(shape, dtype=int), dtype=np.int32).reshape(shape)
    view = array[data.draw(hnp.basic_indices(shape, allow_newaxis=True))]
    found = read_argument(view, "x", "i32")
    layout = layout_of(found)
    size = found.itemsize
    rebuilt = np.lib.stride_tricks.as_strided(
        found, layout.shape, tuple(step * size for step in layout.strides)
    )
    assert np.array_equal(rebuilt, view)


def test_layouts_that_cannot_be_told_apart_are_equal() -> None:
    base = np.zeros((4, 6, 8), np.float32)
    plain = layout_of(np.zeros((1, 6, 8), np.float32))
    assert plain == layout_of(base[2:3]) == ArrayLayout(F32, (1, 6, 8), (48, 8, 1))
    assert layout_of(base[:, :0, ::2]) == layout_of(np.zeros((4, 0, 4), np.float32))
    assert layout_of(base[:, 3:4, :]).strides == (48, 8, 1)


def test_dtypes_that_are_equal_but_not_the_same_object_are_made_the_same() -> None:
    array = pickle.loads(pickle.dumps(np.ones(3, np.float32)))
    assert array.dtype is not np.dtype(np.float32)
    long = np.ones(3, np.dtype("q"))
    for given_, dtype in ((array, F32), (long, I64)):
        found = read_argument(given_, "x", "f32[N]")
        assert found.dtype is dtype.numpy
        assert address(found) == address(given_)


# What is copied


def test_elements_that_are_not_aligned_are_copied() -> None:
    packed = np.zeros(3, np.dtype([("tag", np.int8), ("value", np.float32)]))
    packed["value"] = (1, 2, 3)
    halves = np.zeros(9, np.uint8)[1:].view(np.float32)
    for view in (packed["value"], halves):
        found = read_argument(view, "x", "f32[N]")
        assert found.flags.aligned
        assert address(found) != address(view)
        assert np.array_equal(found, view)
        assert layout_of(found).strides == (1,)


def test_strides_that_are_no_whole_elements_are_copied() -> None:
    odd = np.zeros(3, np.dtype([("value", np.float32), ("tag", np.int16)]))
    wide = np.zeros(3, np.dtype([("value", np.int16), ("tag", np.int8)], align=False))
    wide["value"] = (7, 8, 9)
    assert np.array_equal(read_argument(wide["value"], "x", "i16[N]"), (7, 8, 9))
    one = odd[:1]["value"]
    assert address(read_argument(one, "x", "f32[N]")) == address(one)


# Other kinds of arrays


class OnlyArray:
    """Knows `__array__` and nothing else."""

    def __init__(self, array: Array) -> None:
        self.array = array

    def __repr__(self) -> str:
        # Names of tests are made of it, and all processes must give the same ones.
        return "OnlyArray"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.array


class OnlyDlpack:
    """Knows DLPack and nothing else; `device` is where it says it is."""

    def __init__(self, array: Array, device: int = 1) -> None:
        self.array, self.device = array, device

    def __dlpack__(self, **options: Any) -> object:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (self.device, 0)


class Strange:
    """Promises an array and fails."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        raise ValueError("not today")


def test_other_libraries_arrays_are_read_in_place() -> None:
    array = np.arange(6, dtype=np.float64).reshape(2, 3)[:, ::-1]
    for value in (OnlyArray(array), OnlyDlpack(array)):
        found = read_argument(value, "x", "f64[N, M]")
        assert address(found) == address(array)
        assert layout_of(found) == ArrayLayout(F64, (2, 3), (3, -1))


def test_memory_borrowed_through_dlpack_stays_alive() -> None:
    array = np.arange(1000, dtype=np.float64)
    gone = weakref.ref(array)
    found = read_argument(OnlyDlpack(array), "x", "f64[N]")
    del array
    gc.collect()
    assert gone() is not None
    assert found[999] == 999
    del found
    gc.collect()
    assert gone() is None


def test_subclasses_are_read_as_plain_arrays() -> None:
    class Own(np.ndarray[Any, Any]):
        pass

    own = np.ones((2, 3), np.float32).view(Own)
    found = read_argument(own, "x", "f32[N, M]")
    assert type(found) is np.ndarray
    assert address(found) == address(own)


# Refusals


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1.0, 2.0], "list"),
        (None, "NoneType"),
        ("text", "str"),
        (3.0, "float"),
        (np.zeros(2, np.complex64), "complex64[2]"),
        (np.zeros((2, 2), object), "object[2,2]"),
        (np.zeros(2, np.uint16), "uint16[2]"),
        (np.zeros(2, "M8[s]"), "datetime64[s][2]"),
        (np.zeros(2, ">f4"), "float32[2] in the byte order of other machines"),
        (np.ma.zeros(2), "a masked array, whose mask would be lost"),
        (Strange(), "tests.Strange that gives no array: not today"),
        (OnlyDlpack(np.zeros(2), device=2), "tests.OnlyDlpack on another device"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_array_of_the_language_is_refused(value: object, text: str) -> None:
    known = ", ".join(DTYPES)
    needs = "f32[N]"
    if isinstance(value, np.ndarray) and "masked" not in text:
        needs = f"f32[N] (a dtype of {known})"
    if "device" in text:
        needs = "f32[N] in the memory of the CPU"
    text = text.replace("tests.", f"{__name__}.")
    with refused(f"argument x needs {needs}, but {text} came") as caught:
        read_argument(value, "x", "f32[N]")
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, ValueError)


# Scalars


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1, F32),
        (0.1, F32),
        (0.1, BF16),
        (2.5, F16),
        (float("inf"), F32),
        (-(2**63), I64),
        (255, U8),
        (-128, I8),
        (True, BOOL),
        (10**300, F64),
        (np.float32(3), F32),
        (np.array(4, np.int32), I32),
    ],
    ids=str,
)
def test_numbers_for_scalar_tensors(value: Any, dtype: DType) -> None:
    found = read_scalar(value, "eps", dtype)
    assert found.shape == ()
    assert found.dtype is dtype.numpy
    assert found == np.array(value).astype(dtype.numpy)


def test_nan_is_a_number_too() -> None:
    assert np.isnan(read_scalar(float("nan"), "eps", F32))


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        (1.5, I32, "argument n needs i32, but float 1.5 came"),
        (1.0, I32, "argument n needs i32, but float 1.0 came"),
        (True, I32, "argument n needs i32, but bool True came"),
        (True, F32, "argument n needs f32, but bool True came"),
        (1, BOOL, "argument n needs bool, but int 1 came"),
        (256, U8, "argument n needs u8 (0 to 255), but 256 came"),
        (-1, U8, "argument n needs u8 (0 to 255), but -1 came"),
        (1e39, F32, "argument n needs f32, but 1e+39, which is beyond its range came"),
        (
            10**400,
            F64,
            "argument n needs f64, but an integer beyond its range came",
        ),
        (np.float64(1), F32, "argument n needs f32, but f64[] came"),
        (np.ones(1, np.float32), F32, "argument n needs f32, but f32[1] came"),
        ("1", F32, "argument n needs f32, but str came"),
    ],
)
def test_scalars_that_do_not_fit_are_refused(
    value: object, dtype: DType, text: str
) -> None:
    with refused(text):
        read_scalar(value, "n", dtype)


# out=


def test_out_is_written_in_place_whatever_its_strides() -> None:
    base = np.zeros((6, 8), np.float32)
    out = base[::-2, 1::3]
    found = write_argument(out, "out", ArrayLayout(F32, (3, 3), (3, 1)))
    found[...] = 1
    assert base.sum() == 9
    assert layout_of(found).strides == (-16, 3)


def test_out_through_dlpack_is_written_in_place() -> None:
    base, layout = np.zeros(4, np.float32), ArrayLayout(F32, (4,), (1,))
    exporter: Any = OnlyDlpack(base)
    if not np.from_dlpack(exporter).flags.writeable:
        # NumPy before 2.1 cannot know whether memory from elsewhere may be written.
        with refused(
            "argument out needs f32[4], but an array that cannot be written came"
        ):
            write_argument(exporter, "out", layout)
        return
    found = write_argument(exporter, "out", layout)
    found[...] = 1
    assert base.sum() == 4


TWICE = "in which one element stands at two positions"


def read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("out", "came"),
    [
        (np.zeros((2, 3), np.float64), "f64[2,3]"),
        (np.zeros((3, 2), np.float32), "f32[3,2]"),
        (read_only(np.zeros((2, 3), np.float32)), "an array that cannot be written"),
        (
            np.zeros(25, np.uint8)[1:].view(np.float32).reshape(2, 3),
            "an array with elements that are not aligned",
        ),
        (
            np.lib.stride_tricks.as_strided(np.zeros(4, np.float32), (2, 3), (4, 4)),
            f"an array with strides (4, 4), {TWICE}",
        ),
        (
            np.lib.stride_tricks.as_strided(np.zeros(4, np.float32), (2, 3), (0, 4)),
            f"an array with strides (0, 4), {TWICE}",
        ),
        ([[0.0] * 3] * 2, "list"),
        (OnlyArray(np.zeros((2, 3), np.float32)), f"{__name__}.OnlyArray"),
    ],
    ids=str,
)
def test_out_that_does_not_fit_is_refused(out: object, came: str) -> None:
    with refused(f"argument out needs f32[2,3], but {came} came"):
        write_argument(out, "out", ArrayLayout(F32, (2, 3), (3, 1)))


def test_overlap_is_found_exactly() -> None:
    base = np.zeros(100, np.float32)
    assert may_overlap(base, base[99:])
    assert may_overlap(base[:50], base[49:])
    assert not may_overlap(base[:50], base[50:])
    assert not may_overlap(base[::2], base[1::2])
    assert may_overlap(base[::2], base[::3])
    assert not may_overlap(base[:0], base)
    grid = base.reshape(10, 10)
    assert not may_overlap(grid[:, :5], grid[:, 5:])
    assert may_overlap(grid[:, :5], grid[3])


# Results


@pytest.mark.parametrize("dtype", (F32, I8, BF16), ids=str)
def test_results_are_aligned_where_they_are_large(dtype: DType) -> None:
    for shape in ((), (0,), (3, 5), (64, 65), (1000, 1, 33), (0, 5000)):
        array = allocate(dtype, shape)
        assert array.shape == shape
        assert array.dtype == dtype.numpy
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.nbytes < 1 << 16 or address(array) % 64 == 0
        array[...] = 1


def test_results_stay_when_everything_else_is_gone() -> None:
    array = allocate(F32, (100, 100))
    array[...] = 7
    row = array[50]
    del array
    gc.collect()
    others = [allocate(F32, (100, 100)) for _ in range(20)]
    for other in others:
        other[...] = 0
    assert (row == 7).all()


def test_results_are_numpy_s_unless_the_first_argument_is_a_tensor() -> None:
    array = np.ones(3, np.float32)
    assert result_like(array, array) is array
    assert result_like(array, OnlyDlpack(array)) is array
    assert result_like(array, 2.0) is array


def test_bfloat16_of_numpy_is_the_one_of_ml_dtypes() -> None:
    array = np.ones(3, ml_dtypes.bfloat16)
    assert layout_of(read_argument(array, "x", "bf16[N]")).dtype == BF16
