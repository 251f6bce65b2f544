"""Kernels of other files and of the standard library, called in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import polydsl
from polydsl.driver.imports import DEEPEST
from polydsl.semantics.callsites import DEEPEST as MOST_CALLS

X = np.arange(1, 4, dtype=np.float32)

HALF = "kernel half(x: T[N]) -> T[N]:\n    y[n] = x[n] / 2\n    return y\n"
TWICE = "kernel twice(x: T[N]) -> T[N]:\n    y[n] = x[n] * 2\n    return y\n"


def calling(name: str, own: str = "f") -> str:
    return f"kernel {own}(x: T[N]) -> T[N]:\n    y = {name}(x)\n    return y\n"


def write(folder: Path, **files: str) -> Path:
    """Write `.pdl` files and return that of `main`; `a__b` is `a/b.pdl`."""
    for name, text in files.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".pdl")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "main.pdl"


def errors(folder: Path, **files: str) -> str:
    main = write(folder, **files)
    with pytest.raises(polydsl.ProgramError) as caught:
        polydsl.load(main)
    return str(caught.value).replace(f"{folder.resolve()}/", "")


def test_a_file_shows_only_its_own_kernels(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        gates=f"from stdlib.activation import softmax\n{HALF}{TWICE}",
        main=f"from .gates import (half,\n  twice,)\n{calling('half')}",
    )
    module = polydsl.load(main)
    assert dir(module) == ["f"]
    assert not hasattr(module, "half")
    assert [kernel.name for kernel in module] == ["f"]
    np.testing.assert_array_equal(module.f(X), X / 2)


def test_an_import_is_no_export(tmp_path: Path) -> None:
    assert errors(
        tmp_path,
        gates=f"from stdlib.activation import softmax\n{HALF}",
        main="from .gates import softmax\n",
    ) == (
        "main.pdl:1:20: error[E0425]: gates.pdl has no kernel softmax\n"
        "     1 | from .gates import softmax\n"
        "       |                    ^^^^^^^ not defined there\n"
        "  hint: it imports this kernel itself: import it from where it is defined"
    )


def test_dots_lead_upwards_and_names_downwards(tmp_path: Path) -> None:
    write(
        tmp_path,
        gates=HALF,
        inner__main=f"from ..gates import half\n{calling('half')}",
        main=f"from .inner.main import f\n{calling('f', 'g')}",
    )
    for file, name in (("inner/main.pdl", "f"), ("main.pdl", "g")):
        found = getattr(polydsl.load(tmp_path / file), name)
        np.testing.assert_array_equal(found(X), X / 2)


def test_the_order_of_definitions_is_free() -> None:
    module = polydsl.loads(calling("g") + calling("h", "g") + HALF.replace("half", "h"))
    np.testing.assert_array_equal(module.f(X), X / 2)


def test_a_file_is_read_where_it_stands(tmp_path: Path) -> None:
    """A called kernel sees the kernels of its own file, not those of the caller's."""
    main = write(
        tmp_path,
        gates=HALF + calling("half", "outer"),
        main="from .gates import outer\n"
        + TWICE.replace("twice", "half")
        + calling("outer"),
    )
    module = polydsl.load(main)
    np.testing.assert_array_equal(module.f(X), X / 2)
    np.testing.assert_array_equal(module.half(X), X * 2)


def test_a_file_may_be_imported_from_in_many_places(tmp_path: Path) -> None:
    """Twenty rows of two files, each importing from both of the next row."""
    files = {}
    for row in range(20):
        for side in "ab":
            below = f"k{row + 1}{side}"
            files[f"m{row}{side}"] = (
                f"from .m{row + 1}a import k{row + 1}a\n"
                f"from .m{row + 1}b import k{row + 1}b\n"
                + calling(below, f"k{row}{side}")
            )
    files |= {f"m20{side}": HALF.replace("half", f"k20{side}") for side in "ab"}
    main = write(tmp_path, main=f"from .m0a import k0a\n{calling('k0a')}", **files)
    np.testing.assert_array_equal(polydsl.load(main).f(X), X / 2)


def test_the_same_kernel_may_be_imported_again(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        gates=HALF,
        main="from .gates import half, half\nfrom .gates import half\n"
        + calling("half"),
    )
    np.testing.assert_array_equal(polydsl.load(main).f(X), X / 2)


def test_two_kernels_of_one_name_collide(tmp_path: Path) -> None:
    assert errors(
        tmp_path,
        gates=HALF,
        others=HALF,
        main="from .gates import half\nfrom .others import half\n",
    ) == (
        "main.pdl:2:21: error[E0411]: the kernel half is imported twice\n"
        "     2 | from .others import half\n"
        "       |                     ^^^^ half is imported from another file already\n"
        "  hint: import one of the two, or give one another name where it is defined"
    )
    found = errors(tmp_path, gates=HALF, main=f"from .gates import half\n{HALF}")
    assert found.startswith(
        "main.pdl:2:8: error[E0411]: the kernel half is defined twice"
    )


def test_a_kernel_may_share_its_name_with_a_tensor(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        gates=HALF,
        main="from .gates import half\n"
        "kernel f(x: f32[N]) -> f32[N]:\n    half = half(x)\n    return half\n",
    )
    np.testing.assert_array_equal(polydsl.load(main).f(X), X / 2)


def test_all_errors_of_all_files_come_at_once(tmp_path: Path) -> None:
    found = errors(
        tmp_path,
        syntax="kernel a(x: f32[N]) -> f32[N]:\n    y[i] = \n    return y\n",
        names="kernel b(x: f32[N]) -> f32[N]:\n    y[i] = q[i]\n    return y\n",
        twice="from .names import b\n" + calling("b", "d"),
        main="from .syntax import a\nfrom .names import b\nfrom .nothing import c\n"
        "from .twice import d\n",
    )
    heads = [line for line in found.splitlines() if "error[" in line]
    assert [head.split(": error")[0] for head in heads] == [
        "syntax.pdl:2:11",
        "names.pdl:2:12",
        "main.pdl:3:1",
    ]


def test_a_fault_of_numbers_is_placed_in_the_imported_file(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        gates="# a comment\nkernel shifted(x: f32[N]) -> f32[N]:\n"
        "    y[i] = x[i + 1]\n    return y\n",
        main="from .gates import shifted\n" + calling("shifted").replace("T[", "f32["),
    )
    kernel = polydsl.load(main).f
    with pytest.raises(polydsl.ProgramError) as caught:
        kernel(X)
    (found,) = caught.value.diagnostics
    assert found.code == "E0312"
    assert str(found.span) == f"{tmp_path.resolve() / 'gates.pdl'}:3:14"


def test_files_that_import_each_other(tmp_path: Path) -> None:
    assert errors(
        tmp_path,
        a=f"from .b import half\n{calling('half', 'g')}",
        b=f"from .main import f\n{HALF}",
        main=f"from .a import g\n{calling('g')}",
    ) == (
        "b.pdl:1:1: error[E0424]: files import each other: main -> a -> b -> main\n"
        "     1 | from .main import f\n"
        "       | ^^^^^^^^^^^^^^^^^^^ this closes the circle\n"
        "  hint: move what both need into a third file"
    )
    assert "main -> main" in errors(tmp_path, main="from .main import f\n")


def test_a_symbolic_link_hides_no_circle(tmp_path: Path) -> None:
    (tmp_path / "link.pdl").symlink_to("main.pdl")
    assert "E0424" in errors(tmp_path, main="from .link import f\n")


def test_kernels_that_call_each_other(tmp_path: Path) -> None:
    found = errors(tmp_path, main=calling("g") + calling("f", "g"))
    assert "error[E0408]: the kernel f calls itself through g" in found
    assert "error[E0408]: the kernel f calls itself\n" in errors(
        tmp_path, main=calling("f")
    )


def row(folder: Path, length: int, *, is_called: bool) -> Path:
    """Write files that each import from the next one, and call what they import."""
    files = {}
    for n in range(length):
        own = calling(f"k{n + 1}", f"k{n}")
        if not is_called:
            own = TWICE.replace("twice", f"k{n}")
        files[f"m{n}"] = f"from .m{n + 1} import k{n + 1}\n{own}"
    files[f"m{length}"] = HALF.replace("half", f"k{length}")
    return write(folder, main=f"from .m0 import k0\n{calling('k0')}", **files)


def test_a_long_row_of_files(tmp_path: Path) -> None:
    module = polydsl.load(row(tmp_path, DEEPEST - 2, is_called=False))
    np.testing.assert_array_equal(module.f(X), X * 2)
    main = row(tmp_path, 1000, is_called=False)
    with pytest.raises(polydsl.ProgramError) as caught:
        polydsl.load(main)
    (found,) = caught.value.diagnostics
    assert found.code == "E0426"
    assert found.message == (
        f"more than {DEEPEST} files import from one another in a row"
    )


def test_a_long_row_of_calls_through_files(tmp_path: Path) -> None:
    """The files are right one by one: the last one has a call too many."""
    module = polydsl.load(row(tmp_path, MOST_CALLS - 2, is_called=True))
    np.testing.assert_array_equal(module.f(X), X / 2)
    with pytest.raises(polydsl.ProgramError) as caught:
        polydsl.load(row(tmp_path, MOST_CALLS - 1, is_called=True))
    (found,) = caught.value.diagnostics
    assert found.code == "E0409"
    assert str(found.span) == f"{tmp_path / 'main.pdl'}:3:9"


def test_relative_imports_need_a_file() -> None:
    with pytest.raises(polydsl.ProgramError) as caught:
        polydsl.loads("from .gates import half\nfrom ..b import c\n", "text")
    assert [str(d.span) for d in caught.value.diagnostics] == ["text:1:1", "text:2:1"]
    assert {d.code for d in caught.value.diagnostics} == {"E0421"}


def test_texts_import_from_the_standard_library() -> None:
    text = "from stdlib.activation import softmax\n" + calling("softmax")
    found = polydsl.loads(text).f(X)
    np.testing.assert_allclose(found, np.exp(X) / np.exp(X).sum(), rtol=1e-6)


def test_stdlib_is_the_standard_library_everywhere(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        stdlib__activation=HALF.replace("half", "softmax"),
        main="from stdlib.activation import softmax\n" + calling("softmax"),
    )
    np.testing.assert_allclose(polydsl.load(main).f(X).sum(), 1, rtol=1e-6)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    main = write(tmp_path, main="from .bytes import f\n")
    (tmp_path / "bytes.pdl").write_bytes(b"kernel \xff\n")
    with pytest.raises(polydsl.LoadError, match=r"bytes\.pdl cannot be read: "):
        polydsl.load(main)
    for path in (tmp_path, "a\0b.pdl"):
        with pytest.raises(polydsl.LoadError, match="cannot be read: "):
            polydsl.load(path)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("from .gates import half as h", "E0021"),
        ("from .gates import *", "E0021"),
        ("from . import gates", "E0021"),
        ("from stdlib import activation", "E0423"),
        ("from numpy import half", "E0423"),
        ("from stdlib.activation.inner import half", "E0423"),
        ("from .gates import exp", "E0013"),
        ("import gates", "E0021"),
    ],
)
def test_other_forms_are_refused(tmp_path: Path, line: str, code: str) -> None:
    found = errors(tmp_path, gates=HALF, main=f"{line}\n")
    assert found.startswith("main.pdl:1:")
    assert f"error[{code}]" in found
