"""The command line when something is wrong: messages on stderr, and exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from crash_process import fresh_processes
from test_cli import TEXT

from polydsl.base.diagnostics import VerificationError, bug
from polydsl.driver import cli, cli_compile
from polydsl.driver.cli import main
from polydsl.driver.kernel import Kernel
from polydsl.driver.stages import STAGE_NAMES


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("cli") / "layers.pdl"
    path.write_text(TEXT)
    return str(path)


@pytest.fixture
def errors(capsys: pytest.CaptureFixture[str]):
    """Run the command line; return the exit code and what it prints on stderr."""

    def run(*words: str) -> tuple[int, str]:
        code = main(words)
        captured = capsys.readouterr()
        assert captured.out == ""
        return code, captured.err

    return run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("run FILE scale", "scale needs N for x: f32[N]: write --size N=..."),
        ("run FILE scal", "layers.pdl has no kernel scal; did you mean scale?"),
        (
            "run FILE scale --size M=3",
            "scale has no size M; it has N",
        ),
        ("run FILE scale --size N=-3", "the size N is negative: -3"),
        ("run FILE scale --size times=3", "times is a constant: write --set times=3"),
        ("run FILE scale times=3", "times is a constant: write --set times=3"),
        (
            "run FILE scale --set a=3",
            "a is a tensor: write a=3, a=FILE.npy or a=f32[sizes]",
        ),
        (
            "run FILE scale --set tims=3",
            "scale has no constant tims; did you mean times?",
        ),
        (
            "run FILE scale b=3",
            "scale has no tensor parameter b; it has x, a",
        ),
        (
            "run FILE window --size H=4,W=5,S=2",
            "window needs the constant stride: int, which is missing",
        ),
        (
            "run FILE window --size H=4,W=5,S=2,P=2 --set stride=1",
            "window works P out itself, from H, W, S",
        ),
        ("run FILE scale --size N=3 --bind w", "scale has no tensor parameter w"),
        ("run FILE scale x=no.npy", "x: there is no file no.npy"),
        ("run FILE scale x=FILE", "is no .npy file"),
        ("run FILE scale x=f32[2,3]", "it has 2 dimensions, not 1"),
        ("run FILE scale x=f64[2]", "its dtype is f64, not f32"),
        ("run FILE scale --size N=3 a=f32 -o y.npy", "has 2 results, and -o names 1"),
        ("run FILE scale --size N=3 a=abc", "a: 'abc' is no number"),
        ("run FILE scale --size N=100000000000000", "there is not enough memory"),
        ("run FILE softmax x=f32[4,0]x", "is no spec"),
        ("list none.pdl", "there is no file none.pdl"),
        ("list stdlib.activations", "did you mean activation?"),
        ("check stdlib.none", "the standard library has no module none"),
        ("explain FILE scale --size N=3 --isa sse9", "no ISA row called 'sse9'"),
    ],
)
def test_wrong_arguments(errors, file: str, words: str, message: str) -> None:
    environment = os.environ.get("POLYDSL_ISA")
    given = [word.replace("FILE", file) for word in words.split()]
    if "--isa" in given:
        # The option is for a process of its own.
        ran = process(*given)
        code, text = ran.returncode, ran.stderr
    else:
        code, text = errors(*given)
    assert message in text
    assert text.startswith("error: ")
    assert code == cli.WRONG
    assert os.environ.get("POLYDSL_ISA") == environment


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "Usage: polydsl"),
        ("rum", "No such command"),
        ("run FILE", "Missing argument 'KERNEL'"),
        ("run FILE scale --size N", "'N' is not of the form N=64"),
        ("run FILE scale --size N=x", "N=x: sizes are integers"),
        ("run FILE scale --size ...=2,3", "'3' is not of the form N=64"),
        ("run FILE scale --size N=2 --size N=3", "--size gives N twice"),
        ("run FILE scale --set times=x", "times: 'x' is no number"),
        ("run FILE scale x", "'x' is not of the form x=x.npy"),
        ("run FILE softmax --dtype T=f23", "T=f23: the dtypes are f64"),
        ("run FILE scale --threads 0", "0 is not in the range"),
        ("emit FILE scale --stage nets", "'nets' is not one of"),
    ],
)
def test_wrong_usage(errors, file: str, words: str, message: str) -> None:
    code, text = errors(*[word.replace("FILE", file) for word in words.split()])
    assert message in text
    assert code == cli.USAGE


def test_check_lists_every_error(errors, tmp_path: Path) -> None:
    first, second = tmp_path / "first.pdl", tmp_path / "second.pdl"
    first.write_text(
        "kernel f(x: f32[N]) -> f32[N]:\n"
        "    y[i] = x[i, j] + sigmod(x[i])\n"
        "    return y\n"
    )
    second.write_text("kernel f(x: f32[N) -> f32[N]:\n    return x\n")
    code, text = errors("check", str(first), str(second), "none.pdl")
    assert code == cli.WRONG
    assert f"{first}:2:12: error[E0203]" in text
    assert f"{first}:2:22: error[E0211]" in text
    assert f"error: {first}: 2 errors\n" in text
    assert f"{second}:1:16: error[E0003]" in text
    assert "error: there is no file none.pdl\n" in text


def test_a_wrong_program_shows_its_diagnostics(errors, file: str) -> None:
    code, text = errors(
        "explain", file, "window", "--size", "H=4,W=1,S=9", "--set", "stride=1"
    )
    assert code == cli.WRONG
    assert "error" in text


def test_an_array_of_files_is_refused(errors, file: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=np.zeros(2), b=np.zeros(2))
    code, text = errors("run", file, "scale", f"x={tmp_path / 'two.npz'}")
    assert (code, "holds several arrays" in text) == (cli.WRONG, True)


def test_a_result_that_cannot_be_written(errors, file: str, tmp_path: Path) -> None:
    target = str(tmp_path / "no" / "y.npy")
    words = ("run", file, "softmax", "--size", "N=3", "-o", target)
    code, text = errors(*words)
    assert (code, "cannot be written" in text) == (cli.WRONG, True)


def test_a_failed_check_has_its_own_code(
    capsys: pytest.CaptureFixture[str], file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise VerificationError("y[3] is wrong")

    monkeypatch.setattr(Kernel, "verify", fail)
    words = ("run", file, "softmax", "--size", "N=3", "--seconds", "0")
    assert main(words) == cli.FAILED
    assert capsys.readouterr().err == "error: y[3] is wrong\n"
    assert main([*words, "--no-check"]) == cli.DONE


def test_a_bug_says_where_to_report_it(
    errors, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_compile, "plan", lambda *_: bug("two and two is five"))
    code, text = errors("emit", file, "scale")
    assert code == cli.BUG
    assert "this is a bug in polydsl, not in your program" in text
    assert "two and two is five" in text
    assert "Traceback" not in text
    code, text = errors("--traceback", "emit", file, "scale")
    assert (code, "Traceback" in text) == (cli.BUG, True)


def test_an_interruption_ends_quietly(
    errors, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_compile, "plan", interrupt)
    code, text = errors("emit", file, "scale")
    assert (code, text.strip()) == (130, "error: interrupted")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a process printed, and its exit code."""

    stdout: str
    stderr: str
    returncode: int | None


def run_into(folder: Path, words: Sequence[str], environment: dict[str, str]) -> None:
    """Run the command line with files for its output."""
    for name, stream in (("out", sys.stdout), ("err", sys.stderr)):
        with (folder / name).open("w") as file:
            os.dup2(file.fileno(), stream.fileno())
    os.environ.update(environment)
    sys.exit(main(words))


def process(*words: str, **environment: str) -> Ran:
    """Run the command line in a process of its own."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        running = fresh_processes().Process(
            target=run_into, args=(folder, words, environment)
        )
        running.start()
        running.join(timeout=120)
        printed = [(folder / name).read_text() for name in ("out", "err")]
        return Ran(*printed, running.exitcode)


def test_isa_is_forced_downward(file: str) -> None:
    ran = process("explain", file, "scale", "--size", "N=8", "--isa", "generic")
    assert ran.returncode == 0, ran.stderr
    assert "machine: generic, 128 bits" in ran.stdout


def test_colour_is_for_terminals_only(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pdl"
    wrong.write_text("kernel f(x: f32[N]) -> f32[N]:\n    y[i] = x[j]\n    return y\n")
    piped = process("check", str(wrong))
    assert "\x1b" not in piped.stderr
    forced = process("check", str(wrong), FORCE_COLOR="1")
    assert "\x1b[" in forced.stderr
    plain = process("check", str(wrong), FORCE_COLOR="1", NO_COLOR="1")
    assert "\x1b[31m" not in plain.stderr
    assert "\x1b[1;31m" not in plain.stderr


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("emit {file} softmax --size N=1000 --stage asm", 10),
        ("list {file}", 0),
        ("explain {file} scale --size N=8", 0),
    ],
)
def test_a_reader_that_goes_away_is_no_error(
    file: str, words: str, wanted: int
) -> None:
    command = f"{sys.executable} -m polydsl.driver.cli {words.format(file=file)} "
    command += f"| head -c {wanted}"
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stderr, ran.returncode) == ("", 0)


def test_every_stage_can_be_dumped(file: str) -> None:
    words = ("explain", file, "scale", "--size", "N=3")
    ran = process(*words, POLYDSL_DUMP=",".join(STAGE_NAMES))
    assert ran.returncode == 0, ran.stderr
    shown = [line[2:] for line in ran.stderr.splitlines() if line.startswith("# ")]
    assert [stage for stage in shown if stage in STAGE_NAMES] == list(STAGE_NAMES)


def test_a_stage_that_is_none_is_no_dump(file: str) -> None:
    ran = process("explain", file, "scale", "--size", "N=3", POLYDSL_DUMP="nets")
    assert ran.returncode == cli.WRONG
    assert ran.stderr.startswith(
        "error: POLYDSL_DUMP names no stage 'nets': the stages"
    )
