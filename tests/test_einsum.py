"""`polydsl.einsum` against `numpy.einsum`, its kernels, and what it refuses."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polydsl
from polydsl.base.dtypes import DTYPES, promote, widen

Array = np.ndarray[Any, Any]

A = np.arange(12, dtype=np.float32).reshape(3, 4)
B = np.arange(8, dtype=np.float32).reshape(4, 2)
V = np.arange(4, dtype=np.float32)
S = np.arange(9, dtype=np.float32).reshape(3, 3)

NAMES = ("f64", "f32", "i64", "i32", "i16", "i8", "u8", "bool")


@st.composite
def equations(draw: st.DrawFn) -> tuple[str, list[Array]]:
    """An equation with operands that fit it."""
    letters = draw(st.permutations(["a", "b", "i", "k", "x", "I", "Z"]))[:4]
    extents = {letter: draw(st.integers(0, 4)) for letter in letters}
    leading = draw(st.lists(st.integers(0, 3), max_size=2))
    texts, operands = [], []
    for _ in range(draw(st.integers(1, 4))):
        labels = draw(st.lists(st.sampled_from(letters), max_size=3))
        has_leading = draw(st.integers(0, 3)) == 0
        shape = [*(leading if has_leading else ()), *(extents[n] for n in labels)]
        texts.append(("..." if has_leading else "") + "".join(labels))
        operands.append(draw(operands_of(tuple(shape))))
    text = draw(st.sampled_from([",", ", "])).join(texts)
    if draw(st.booleans()):
        text += "->" + draw(outputs(texts))
    return text, operands


@st.composite
def outputs(draw: st.DrawFn, texts: list[str]) -> str:
    known = sorted({letter for text in texts for letter in text} - {"."})
    kept = draw(st.lists(st.sampled_from(known), unique=True)) if known else []
    return ("..." if any("..." in text for text in texts) else "") + "".join(kept)


@st.composite
def operands_of(draw: st.DrawFn, shape: tuple[int, ...]) -> Array:
    dtype = DTYPES[draw(st.sampled_from(NAMES))]
    generator = np.random.default_rng(draw(st.integers(0, 1000)))
    if dtype.is_float:
        values = np.asarray(generator.standard_normal(shape), dtype.numpy)
    else:
        values = np.asarray(
            generator.integers(0 if not dtype.signed else -3, 4, shape), dtype.numpy
        )
    order = draw(st.permutations(range(len(shape))))
    return values.transpose(order).copy().transpose(np.argsort(order))


def meaning(text: str, operands: list[Array]) -> Array:
    """What NumPy makes of operands in the types that the language computes in."""
    types = [polydsl.base.dtypes.from_numpy(a.dtype) for a in operands]
    strong = [dtype for dtype in types if dtype is not None]
    assert len(strong) == len(operands)
    result = widen(strong[0])
    for dtype in strong[1:]:
        result = promote(result, dtype)
    is_copy = len(operands) == 1 and not _is_summed(text)
    kind = (strong[0] if is_copy else result).numpy
    wide = np.float64 if result.is_float else kind
    exact = np.einsum(text, *(a.astype(wide) for a in operands))
    return np.asarray(exact).astype(kind)


def _is_summed(text: str) -> bool:
    inner, arrow, output = text.replace(" ", "").partition("->")
    if not arrow:
        return any(n > 1 for letter, n in Counter(inner).items() if letter != ".")
    return bool(set(inner) - set(output) - {"."})


@settings(max_examples=60, deadline=None)
@given(equations(), st.integers(1, 2))
def test_it_is_numpys(case: tuple[str, list[Array]], threads: int) -> None:
    text, operands = case
    found = polydsl.einsum(text, *operands, threads=threads)
    expected = meaning(text, operands)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(equations())
def test_its_kernels_are_verified(case: tuple[str, list[Array]]) -> None:
    text, operands = case
    polydsl.einsum_kernel(text).verify(*operands)


@pytest.mark.parametrize(
    ("text", "operands"),
    [
        ("ij,jk->ik", (A, B)),
        ("ij,jk", (A, B)),
        ("ij , jk -> k i", (A, B)),
        ("ii", (S,)),
        ("ii->i", (S,)),
        ("ij->ji", (A,)),
        ("ba", (A,)),
        ("ij->", (A,)),
        ("i,i", (V, V)),
        ("i,j->ji", (V, V)),
        ("...j,j->...", (np.stack([A, A]), V)),
        ("...j,j->...", (V, V)),
        ("...", (A,)),
        ("ij->...ij", (A,)),
        (",ij->ij", (np.float32(2), A)),
        ("->", (np.array(3, np.float32),)),
        ("ij,ij,ij,ij,ij->i", (A, A, A, A, A)),
    ],
)
def test_forms_of_equations(text: str, operands: tuple[Array, ...]) -> None:
    found = polydsl.einsum(text, *operands)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.einsum(text, *operands))


def test_a_scalar_comes_as_an_array_of_rank_0() -> None:
    trace = polydsl.einsum("ii", S)
    assert isinstance(trace, np.ndarray)
    assert trace.shape == ()


def test_out_and_threads() -> None:
    out = np.full((3, 2), 7, np.float32)
    assert polydsl.einsum("ij,jk->ik", A, B, out=out, threads=2) is out
    np.testing.assert_array_equal(out, A @ B)


def test_many_operands() -> None:
    text = ",".join(["i"] * 200) + "->i"
    ones = np.ones(3, np.float32)
    np.testing.assert_array_equal(polydsl.einsum(text, *[ones] * 200), ones)


@pytest.mark.parametrize(
    ("number", "array", "dtype"),
    [
        (2, "f32", "f32"),
        (2.5, "f64", "f64"),
        (2.5, "f32", "f32"),
        (2.5, "i32", "f32"),
        (2, "i64", "i64"),
        (2, "i8", "i32"),
    ],
)
def test_a_number_takes_the_type_of_what_it_meets(
    number: float, array: str, dtype: str
) -> None:
    x = np.arange(4).astype(DTYPES[array].numpy)
    found = polydsl.einsum(",i->i", number, x)
    assert found.dtype == DTYPES[dtype].numpy
    np.testing.assert_array_equal(found, number * x)
    assert polydsl.einsum(",", number, 2).dtype == (
        np.float64 if isinstance(number, float) else np.int64
    )


def test_a_kernel_is_kept_for_each_equation() -> None:
    kernel = polydsl.einsum_kernel("ij,jk->ik")
    assert polydsl.einsum_kernel("ij, jk -> ik") is kernel
    polydsl.einsum("ij,jk->ik", A, B)
    special = kernel.specialize(A, B)
    polydsl.einsum("ij,jk->ik", A, B)
    assert kernel.specialize(A, B) is special
    assert "result[i, k] += x0[i, j] * x1[j, k]" in special.emit("ast")


@pytest.mark.parametrize(
    ("text", "operands", "message"),
    [
        ("ij,jk->il", (A, B), "the output has l, and no operand has it|ij,jk->il|8"),
        ("ij,jk->ii", (A, B), "the output has i twice|ij,jk->ii|8"),
        (
            "ij,jk->ik",
            (A, V),
            "operand 1 has 1 dimension, and its subscripts are for 2|ij,jk->ik|3",
        ),
        ("ij,jk", (A, A), "j is 3 in operand 1, and 4 in operand 0|ij,jk|3"),
        (
            "ij,ij",
            (A, A[:1]),
            "i is 1 in operand 1, and 3 in operand 0; nothing is stretched from "
            "extent 1|ij,ij|3",
        ),
        ("ii", (A,), "i is 4 in operand 0, and 3 in operand 0|ii|1"),
        ("ij,jk", (A,), "the equation has 2 operands, and 1 came|ij,jk|3"),
        ("ij", (A, A), "the equation has 1 operand, and 2 came|ij|0"),
        (
            "i.j->j",
            (A,),
            "'.' is no subscript; subscripts are the letters a-z and A-Z, '...', ',' "
            "and '->'|i.j->j|1",
        ),
        (
            "ij->\tj,",
            (A,),
            "the output is one term after one '->'|ij-> j,|6",
        ),
        ("i->j->k", (V,), "the output is one term after one '->'|i->j->k|4"),
        (
            "...ij->j",
            (A,),
            "the output has no '...'; give what is summed over a letter|...ij->j|0",
        ),
        (
            "i...->i...",
            (A,),
            "'...' stands for leading dimensions: write it first|i...->i...|1",
        ),
        (
            "...ij->...",
            (V,),
            "operand 0 has 1 dimension, and its subscripts are for 2 or more|"
            "...ij->...|0",
        ),
        (
            "...i,...j",
            (A, V),
            "... is () in operand 1, and (3,) in operand 0|...i,...j|5",
        ),
        (",i", (V, V), "operand 0 has 1 dimension, and its subscripts are for 0|,i|0"),
    ],
)
def test_refusals_show_the_equation(
    text: str, operands: tuple[Array, ...], message: str
) -> None:
    sentence, shown, place = message.split("|")
    with pytest.raises(polydsl.ArgumentError) as caught:
        polydsl.einsum(text, *operands)
    caret = " " * int(place) + "^"
    assert str(caught.value) == f"einsum: {sentence}\n    {shown}\n    {caret}"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: polydsl.einsum([0, 1], A),  # type: ignore[arg-type]
            "einsum needs its subscripts as a text such as 'ij,jk->ik', and list "
            "came; operands with lists of numbers are not served",
        ),
        (
            lambda: polydsl.einsum("i,i", V, [1, 2, 3, 4]),
            "argument 1 of einsum needs an array, but list came",
        ),
        (
            lambda: polydsl.einsum("i,", V.astype(np.complex64), 2),
            "argument 0 of einsum needs an array (a dtype of f64, f32, f16, bf16, i64, "
            "i32, i16, i8, u8, bool), but complex64[4] came",
        ),
        (
            lambda: polydsl.einsum("i->i", V, out=V),
            "einsum: out= shares memory with x0",
        ),
    ],
)
def test_other_refusals(call: Any, message: str) -> None:
    with pytest.raises(polydsl.ArgumentError) as caught:
        call()
    assert str(caught.value) == message
