"""PyTorch's tensors as arguments and results; needs the optional extra."""

import gc
import re
from typing import Any

import numpy as np
import pytest
import torch

from polydsl.backend.arrays import (
    ArrayLayout,
    kind_of,
    layout_of,
    read_argument,
    read_scalar,
    result_like,
    write_argument,
)
from polydsl.base.diagnostics import ArgumentError
from polydsl.base.dtypes import BF16, DTYPES, F32, DType

pytestmark = pytest.mark.torch

TORCH: dict[str, Any] = {
    "f64": torch.float64,
    "f32": torch.float32,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
    "i64": torch.int64,
    "i32": torch.int32,
    "i16": torch.int16,
    "i8": torch.int8,
    "u8": torch.uint8,
    "bool": torch.bool,
}


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (4, 6)], ids=str)
def test_tensors_of_every_dtype_go_in_and_out_without_a_copy(
    dtype: DType, shape: tuple[int, ...]
) -> None:
    tensor = torch.ones(shape, dtype=TORCH[dtype.name])
    array = read_argument(tensor, "x", "T[N, M]")
    assert layout_of(array).dtype == dtype
    assert array.shape == shape
    assert array.ctypes.data == tensor.data_ptr() or 0 in shape
    back: Any = result_like(array, tensor)
    assert back.dtype == tensor.dtype
    assert back.shape == tensor.shape
    assert back.data_ptr() == tensor.data_ptr() or 0 in shape
    assert (back == tensor).all()


@pytest.mark.parametrize("name", ["f32", "bf16"])
def test_strides_of_tensors_are_kept(name: str) -> None:
    tensor = torch.arange(60).to(TORCH[name]).reshape(3, 4, 5)
    for view in (tensor.permute(2, 0, 1), tensor[1:, ::2], tensor[0].expand(7, 4, 5)):
        array = read_argument(view, "x", "T[A, B, C]")
        assert array.ctypes.data == view.data_ptr()
        assert layout_of(array).strides == view.stride()
        assert np.array_equal(array.astype(np.float32), view.float().numpy())


@pytest.mark.parametrize("name", ["f32", "bf16"])
def test_memory_outlives_the_tensor_and_the_array(name: str) -> None:
    tensor = torch.full((500,), 3.0).to(TORCH[name])
    array = read_argument(tensor, "x", "T[N]")
    result: Any = result_like(array, tensor)
    del tensor, array
    gc.collect()
    others = [torch.zeros(500).to(TORCH[name]) for _ in range(50)]
    assert (result == 3).all()
    assert len(others) == 50


def test_borrowed_bfloat16_memory_is_given_back() -> None:
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    before = resident()
    for _ in range(60):
        tensor = torch.ones(1 << 22, dtype=torch.bfloat16)
        assert read_argument(tensor, "x", "bf16[N]").size == 1 << 22
    gc.collect()
    # Each is 8 MB: leaked, they would be 480 MB.
    assert resident() - before < 100 << 20


def test_results_are_of_the_kind_of_the_first_tensor() -> None:
    array = np.ones(3, np.float32)
    assert kind_of(torch.ones(1)) == "torch"
    assert kind_of(array) == "numpy"
    assert isinstance(
        result_like(array, torch.nn.Parameter(torch.ones(1))), torch.Tensor
    )


def test_out_is_written_in_a_tensor() -> None:
    for dtype in (F32, BF16):
        base = torch.zeros((4, 6), dtype=TORCH[dtype.name])
        out = write_argument(base.t(), "out", ArrayLayout(dtype, (6, 4), (4, 1)))
        out[...] = 1
        assert base.sum() == 24


def test_scalars_of_rank_zero() -> None:
    assert read_scalar(torch.tensor(2.0), "eps", F32) == 2


def test_parameters_are_read_where_gradients_are_off() -> None:
    weight = torch.nn.Linear(3, 2).weight
    with pytest.raises(ArgumentError, match=re.escape("pass w.detach()")):
        read_argument(weight, "w", "f32[N, M]")
    with torch.no_grad():
        array = read_argument(weight, "w", "f32[N, M]")
    assert array.ctypes.data == weight.data_ptr()


def test_bits_that_dlpack_drops_are_resolved() -> None:
    negated = torch.tensor([1 + 2j]).conj().imag
    assert read_argument(negated, "x", "f32[N]")[0] == -2
    with pytest.raises(ArgumentError, match="negative view came"):
        write_argument(negated, "out", ArrayLayout(F32, (1,), (1,)))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: torch.zeros(2, device="meta"), "pass x.cpu()"),
        (lambda: torch.zeros(2, 2).to_sparse(), "layout torch.sparse_coo came"),
        (lambda: torch.zeros(2, dtype=torch.float8_e5m2), "torch.float8_e5m2"),
        (lambda: torch.zeros(2, dtype=torch.complex64), "complex64[2] came"),
    ],
)
def test_other_tensors_are_refused(make: Any, text: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(text)) as caught:
        read_argument(make(), "x", "f32[N]")
    assert "argument x needs" in str(caught.value)
