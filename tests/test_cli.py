"""The command line: what each command prints, and where."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from polydsl.driver.cli import main

TEXT = '''"""Kernels to try the command line with."""

kernel scale(x: f32[N], a: f32, *, times: int = 2) -> (f32[N], f32):
    """Scale a vector.

    And add it up.
    """
    y[i] = a * x[i] * times
    t += x[i]
    return y, t

kernel softmax(x: T[..., N]) -> T[..., N]:
    e[..., i] = exp(x[..., i] - max[k](x[..., k]))
    y[..., i] = e[..., i] / sum[k](e[..., k])
    return y

kernel window(x: f32[H, W], w: f32[H - P + 1, S], *, stride: int) -> f32[P, Q]:
    P = H // 2
    Q = (W - S) // stride + 1
    y[p, q] += x[p + r, q*stride + s] * w[r, s]
    return y
'''


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("cli") / "layers.pdl"
    path.write_text(TEXT)
    return str(path)


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]):
    """Run the command line; return what it prints on stdout."""

    def run(*words: str) -> str:
        code = main(words)
        captured = capsys.readouterr()
        assert code == 0, captured.err
        assert captured.err == ""
        return captured.out

    return run


def test_list_shows_signatures_and_docstrings(output, file: str) -> None:
    assert output("list", file) == (
        "Kernels to try the command line with.\n"
        "\n"
        "scale(x: f32[N], a: f32, *, times: int = 2) -> (f32[N], f32)\n"
        "    Scale a vector.\n"
        "\n"
        "    And add it up.\n"
        "\n"
        "softmax(x: T[..., N]) -> T[..., N]\n"
        "\n"
        "window(x: f32[H, W], w: f32[H - P + 1, S], *, stride: int) -> f32[P, Q]\n"
    )


def test_list_without_a_file_shows_the_standard_library(output) -> None:
    lines = output("list").splitlines()
    assert any(line.startswith("stdlib.activation: ") for line in lines)
    for line in lines:
        module, _, kernels = line.partition(": ")
        assert output("list", module).count("(") >= len(kernels.split(", "))


def test_check_counts_what_is_right(output, file: str) -> None:
    assert output("check", file) == f"{file}: 3 kernels, no errors\n"
    assert output("check", "stdlib.linalg", "stdlib.activation").count("no errors") == 2


def test_run_says_time_speed_and_check(output, file: str) -> None:
    text = output("run", file, "scale", "--size", "N=1000", "--seconds", "0")
    assert text.startswith("scale\n  arguments  x: f32[1000], a: f32[]\n")
    assert "  results    y: f32[1000], t: f32[]\n" in text
    assert re.search(r"^  time +[\d.e+]+ [µm]?s, best of \d+, 1 thread$", text, re.M)
    assert re.search(r"^  speed +[\d.]+ GFLOP/s \(3,000 operations\)$", text, re.M)
    assert re.search(r"^  peak +[\d.]+% of this machine's .* in f32$", text, re.M)
    assert re.search(r"^  check +all 1,001 elements within the oracle's", text, re.M)


def test_run_reads_and_writes_files(output, file: str, tmp_path: Path) -> None:
    x = np.arange(7, dtype=np.float32)
    np.save(tmp_path / "x.npy", x)
    y, t = tmp_path / "y.npy", tmp_path / "t.npy"
    words = ["run", file, "scale", f"x={tmp_path / 'x.npy'}", "a=0.5"]
    output(*words, "--set", "times=3", "--seconds", "0", "-o", str(y), "-o", str(t))
    np.testing.assert_array_equal(np.load(y), 1.5 * x)
    assert np.load(t) == x.sum()


def test_sizes_come_from_arrays_too(output, file: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((8, 9), np.float32))
    words = ("run", file, "window", f"x={tmp_path / 'x.npy'}", "--size", "S=3")
    text = output(*words, "--set", "stride=2", "--seconds", "0")
    assert "x: f32[8,9], w: f32[5,3], stride=2" in text
    assert "y: f32[4,4]" in text


def test_leading_dimensions_and_dtypes(output, file: str) -> None:
    words = ("run", file, "softmax", "--size", "N=10,...=2x3", "--dtype", "T=f64")
    text = output(*words, "--seconds", "0", "--bind", "x", "--random", "uniform")
    assert "x: f64[2,3,10]" in text
    assert "in f64" in text
    spec = output("run", file, "softmax", "x=f32[4,5]", "--seconds", "0")
    assert "x: f32[4,5]" in spec


def test_integers_have_no_peak(output, tmp_path: Path) -> None:
    path = tmp_path / "count.pdl"
    path.write_text(
        "kernel count(x: i32[N]) -> i32:\n    t += 2 * x[i]\n    return t\n"
    )
    text = output("run", str(path), "count", "--size", "N=10", "--seconds", "0")
    assert " GOP/s (20 operations)" in text
    assert "peak" not in text


def test_explain_names_the_kernel_and_its_schedule(output, file: str) -> None:
    text = output("explain", file, "softmax", "--size", "N=100", "--isa", "")
    assert text.startswith("softmax(x: f32[100])\n")
    assert "because" in text


@pytest.mark.parametrize("stage", ["ast", "typed", "scop", "dependences", "tree"])
def test_emit_shows_a_stage(output, file: str, stage: str) -> None:
    text = output("emit", file, "scale", "--stage", stage, "--size", "N=5")
    assert (
        "S1 -> S2" in text if stage == "dependences" else "scale" in text or "y" in text
    )
    assert text.endswith("\n")


def test_emit_shows_the_nest_by_default(output, file: str) -> None:
    words = ("emit", file, "scale", "--size", "N=5")
    assert output(*words) == output(*words, "--stage", "nest")
    bound = output(*words, "--bind", "x")
    assert bound.startswith("nest scale(")


def test_doctor_describes_the_machine(output) -> None:
    text = output("doctor")
    labels = {line.split()[0] for line in text.splitlines()}
    expected = {"polydsl", "isa", "L1", "cores", "peak", "bandwidth", "cache"}
    assert expected <= labels
    assert re.search(r"of at most 1 GiB$", text, re.M)


def test_cache_clear_counts_entries(output, file: str) -> None:
    output("explain", file, "scale", "--size", "N=17")
    assert re.search(r": \d+ entr(y|ies) removed\n$", output("cache", "clear"))
    assert output("cache", "clear").endswith(": 0 entries removed\n")
