"""`polydsl bench`: its table, its JSON, and peers that cannot be had."""

from __future__ import annotations

import json
import re
import sys

import pytest

from polydsl.driver.cli import WRONG, main
from polydsl.driver.measure import measure_together

MATMUL = ("stdlib.linalg", "matmul", "--size", "M=32,N=32,K=32", "--seconds", "0")


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]):
    """Run `polydsl bench`; return what it prints on stdout."""

    def run(*words: str) -> str:
        code = main(("bench", *words))
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return captured.out

    return run


def test_a_table_with_the_same_kernel_twice(output) -> None:
    text = output(*MATMUL, "--against", "llvm", "--threads", "1", "--bind", "b")
    lines = text.splitlines()
    assert lines[0] == "matmul(a: f32[32,32], b: f32[32,32])"
    assert re.match(r"1 thread, peak of one core [\d.]+ GFLOP/s in f32$", lines[1])
    assert re.match(r"  polydsl +[\d.]+ .s +[\d.]+ +[\d.]+% +1\.00$", lines[3])
    assert re.match(r"  llvm +[\d.]+ .s +[\d.]+ +[\d.]+% +[\d.]+$", lines[4])


def test_json_has_the_numbers_of_the_table(output) -> None:
    content = json.loads(output(*MATMUL, "--against", "llvm", "--json"))
    assert content["operations"] == 2 * 32**3
    own, other = content["sides"]
    assert (own["name"], own["ratio"], other["name"]) == ("polydsl", 1.0, "llvm")
    assert other["ratio"] == pytest.approx(other["seconds"] / own["seconds"])
    assert own["gflops"] == pytest.approx(content["operations"] / own["seconds"] / 1e9)


def test_without_pytorch_the_rest_is_timed(output, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    content = json.loads(output(*MATMUL, "--against", "torch,llvm", "--json"))
    own, torch, llvm = content["sides"]
    assert "pip install 'polydsl[torch]'" in torch["note"]
    assert "seconds" in own and "seconds" in llvm and "seconds" not in torch
    assert re.search(r"^  torch +not timed  PyTorch is not", output(*MATMUL), re.M)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--against", "jax"), "timed against torch, llvm, libxsmm, mkl"),
        (("--bind", "w"), "matmul has no tensor parameter w to bind"),
        (("--ranker", "best"), "the rankers are reuse, polyrank, pairwise-net"),
    ],
)
def test_wrong_words(words: tuple[str, ...], message: str, capsys) -> None:
    assert main(("bench", *MATMUL, *words)) == WRONG
    assert message in capsys.readouterr().err


def test_sides_take_turns() -> None:
    order: list[str] = []
    slow = [0.0]

    def first() -> None:
        order.append("a")
        slow[0] += sum(range(3000))

    def second() -> None:
        order.append("b")
        slow[0] += sum(range(3000))

    timings = measure_together((first, second), None, seconds=0)
    assert len(timings) == 2 and all(t.seconds > 0 for t in timings)
    rounds = "".join(order)
    assert re.search(r"a+b+a+b+a+b+$", rounds)
