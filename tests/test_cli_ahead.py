"""`polydsl compile`: the files it writes, what it prints, and what is refused."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from elf import exported

from polydsl.driver.cli import main
from polydsl.driver.linker import LINKERS, link_shared

TEXT = '''"""Kernels for C."""

kernel scale(x: f32[N], a: f32, *, times: int) -> f32[N]:
    """Scale a vector."""
    y[i] = a * x[i] * times
    return y

kernel main(x: f32[N]) -> f32[N]:
    y[i] = x[i]
    return y

kernel _sum(x: f32[N]) -> f32:
    s += x[i]
    return s
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "k.pdl").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def compiled(capsys: pytest.CaptureFixture[str]):
    """Run `polydsl compile k.pdl ...`; return exit code, stdout and stderr."""

    def run(words: str) -> tuple[int, str, str]:
        code = main(["compile", "k.pdl", *words.split()])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def written(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"k.pdl"}


def test_three_files_and_who_linked(compiled, folder: Path) -> None:
    code, out, err = compiled(
        "scale --size N=8 --set times=3 --isa generic,avx2 -o my-scale.v2"
    )
    assert (code, err) == (0, "")
    first, *lines = out.splitlines()
    assert first == "scale"
    facts = dict(line.split(maxsplit=1) for line in lines)
    assert facts["arguments"] == "x: f32[8], a: f32[], times=3"
    assert facts["code"].startswith("avx2, generic; ")
    assert facts["object"] == "my-scale.v2.o"
    assert facts["header"] == "my-scale.v2.h"
    library, _, linker = facts["library"].partition(", linked by ")
    assert library == "my-scale.v2.so"
    assert Path(linker).name in LINKERS
    assert written(folder) == {"my-scale.v2.o", "my-scale.v2.h", "my-scale.v2.so"}
    assert "polydsl_status scale(" in (folder / "my-scale.v2.h").read_text()


@pytest.mark.parametrize("output", ["out.o", "out.h", "out.so", "out"])
def test_a_name_of_one_file_means_all(compiled, folder: Path, output: str) -> None:
    words = f"scale --size N=3 --set times=3 --isa generic -o {output}"
    assert compiled(words)[0] == 0
    assert written(folder) == {"out.o", "out.h", "out.so"}


def test_files_are_called_as_the_function_is(compiled, folder: Path) -> None:
    words = "scale --size N=3 --set times=3 --isa generic --name triple"
    assert compiled(words)[0] == 0
    assert written(folder) == {"triple.o", "triple.h", "triple.so"}
    image = (folder / "triple.o").read_bytes()
    assert all(name.startswith("triple") for name in exported(image))


def test_bound_tensors_have_a_function(compiled, folder: Path) -> None:
    words = "scale --size N=3 --set times=3 --isa generic --bind a"
    assert compiled(words)[0] == 0
    text = (folder / "scale.h").read_text()
    assert "scale_prepare(\n    float a,\n    void *prepared,\n" in text
    image = (folder / "scale.o").read_bytes()
    assert {"scale_prepare", "scale_prepared_bytes"} <= exported(image)


def test_without_a_linker_there_is_no_library(
    compiled, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "scale.so").write_text("an older one")
    monkeypatch.setenv("PATH", "")
    code, out, err = compiled("scale --size N=3 --set times=3 --isa generic")
    assert (code, err) == (0, "")
    (line,) = (line for line in out.splitlines() if "library" in line)
    assert "not made: none of cc, gcc, clang, ld, ld.lld was found" in line
    assert "apt install gcc" in line
    assert written(folder) == {"scale.o", "scale.h"}


def test_another_linker_is_tried_where_one_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = folder / "bin"
    programs.mkdir()
    broken = programs / "cc"
    broken.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no such option')\n")
    broken.chmod(0o755)
    real = next(p for p in map(shutil.which, LINKERS) if p)
    main(["compile", "k.pdl", "scale", "--size", "N=3", "--set", "times=3"])
    monkeypatch.setenv("PATH", str(programs))
    failed = link_shared(folder / "scale.o", folder / "lib.so")
    assert failed.linker == ""
    assert failed.reason == f"{broken} failed: no such option"
    linker = programs / "gcc"
    path = f"os.environ['PATH'] = {os.path.dirname(real)!r}\n"
    linker.write_text(
        f"#!{sys.executable}\nimport os, sys\n{path}"
        f"os.execv({real!r}, [{real!r}, *sys.argv[1:]])\n"
    )
    linker.chmod(0o755)
    assert link_shared(folder / "scale.o", folder / "lib.so").linker == str(linker)
    assert (folder / "lib.so").is_file()


def test_ld_alone_links(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    linker = shutil.which("ld")
    assert linker is not None
    programs = folder / "bin"
    programs.mkdir()
    (programs / "ld").symlink_to(linker)
    main(["compile", "k.pdl", "scale", "--size", "N=3", "--set", "times=3"])
    monkeypatch.setenv("PATH", str(programs))
    linking = link_shared(folder / "scale.o", folder / "lib.so")
    assert (linking.linker, linking.reason) == (str(programs / "ld"), "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "scale --size N=3 --set times=3 --isa avx3",
            "there is no ISA row called 'avx3'; code is made for avx512, avx2, generic",
        ),
        ("scale --set times=3", "scale needs N for x: f32[N]: write --size N=..."),
        ("scale --size N=3", "scale needs the constant times: int, which is missing"),
        (
            "scale --size N=3 --set times=3 --bind b",
            "scale has no tensor parameter b; it has x, a",
        ),
        (
            "scale --size N=3 --set times=3 --microkernel libxsmm",
            "an object that is compiled ahead of time calls no library: leave out the "
            "microkernel 'libxsmm'",
        ),
        (
            "scale --size N=3 --set times=3 -o none/scale",
            "none/scale.o cannot be written: No such file or directory; -o names "
            "another place",
        ),
        (
            "main --size N=3",
            "a C function cannot be called 'main', which is a function of every C "
            "program; give it another name: --name conv, in Python name='conv'",
        ),
        ("_sum --size N=3", "which is no C identifier that begins with a letter"),
        ("scale --size N=3 --set times=3 --name a-b", "which is no C identifier"),
        ("scale --size N=3 --set times=3 --name int", "is a keyword of C or C++"),
        (
            "scale --size N=3 --set times=3 --name polydsl_f",
            "which begins with polydsl_",
        ),
    ],
)
def test_what_is_wrong_is_said(
    compiled, folder: Path, words: str, message: str
) -> None:
    code, out, err = compiled(words)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert message in err
    assert written(folder) == set()


def test_a_row_of_another_architecture(
    compiled, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "llvmlite.binding.get_process_triple", lambda: "aarch64-unknown-linux-gnu"
    )
    code, _, err = compiled("scale --size N=3 --set times=3 --isa avx2")
    assert code == 1
    assert "the ISA row avx2 is for CPUs of another architecture" in err
    assert "code is made for generic" in err
    assert compiled("scale --size N=3 --set times=3 --isa generic")[0] == 0
    image = (folder / "scale.o").read_bytes()
    assert int.from_bytes(image[18:20], "little") == 183  # EM_AARCH64
    assert written(folder) == {"scale.o", "scale.h"}
