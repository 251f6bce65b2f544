"""Documentation runs, and the pages made from tables are up to date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import Reader, blocks_of, commands_of
from error_cases import WITHOUT_CASE, all_cases, documented_cases, outcome
from life_page import section
from reference_pages import FOLDER, PAGES

import polydsl
from polydsl.base.codes import CODES
from polydsl.base.options import VARIABLES

ROOT = Path(__file__).parent.parent
PAGES_TO_RUN = (
    ROOT / "README.md",
    ROOT / "docs" / "index.md",
    *sorted((ROOT / "docs" / "tutorial").glob("*.md")),
    ROOT / "docs" / "reference" / "language.md",
    ROOT / "docs" / "reference" / "python.md",
)
CASES = documented_cases()


@pytest.mark.parametrize("page", PAGES_TO_RUN, ids=lambda page: page.stem)
def test_page(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every block of a page runs, in order, in one namespace."""
    monkeypatch.chdir(tmp_path)

    def captured() -> tuple[str, str]:
        found = capsys.readouterr()
        return found.out, found.err

    shown = [block for block in blocks_of(page) if block.language != "text"]
    assert Reader(page, tmp_path, captured).read() == len(shown)


@pytest.mark.parametrize(
    "text",
    [
        "```pdl\nkernel f(x: f32[N]) -> f32[N]:\n    return z\n```\n",
        "```python\nassert 1 == 2\n```\n",
        "```pycon\n>>> 1 + 1\n3\n```\n",
        "```console\n$ polydsl list stdlib.linalg\nnothing\n```\n",
        "```console\n$ polydsl list none.pdl\n```\n",
        "```c\nint main(void) { return 0; }\n```\n",
        "```c\n/* a.c */\nint main(void) { return }\n```\n"
        "```console\n$ cc a.c -o a\n```\n",
        "```c\n/* a.c */\nint main(void) { return 1; }\n```\n"
        "```console\n$ cc a.c -o a\n$ ./a\n```\n",
        "```fortran\nend\n```\n",
    ],
    ids=[
        *("pdl", "python", "pycon", "output", "code"),
        *("c-name", "c", "c-run", "language"),
    ],
)
def test_a_wrong_page_is_noticed(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    # Each page is wrong in another way, and whoever finds it raises what fits.
    with pytest.raises(Exception):  # noqa: B017
        Reader(page, tmp_path, lambda: tuple(capsys.readouterr())).read()


def test_commands_are_joined_over_lines() -> None:
    text = "$ polydsl run \\\n    x\n1 ms\n$ polydsl list\n"
    assert list(commands_of(text)) == [
        ("polydsl run     x", "1 ms\n"),
        ("polydsl list", ""),
    ]


@pytest.mark.parametrize("name", PAGES)
def test_reference_page_is_up_to_date(name: str) -> None:
    path = FOLDER / name
    assert path.read_text(encoding="utf-8") == PAGES[name](), (
        f"{path} is stale: python tests/reference_pages.py"
    )


def test_words_about_a_stage_quote_its_text() -> None:
    assert "for t in 0..9" in "\n".join(section("rnn", "nest", "`for t in 0..9` runs"))
    with pytest.raises(ValueError, match="no for t in"):
        list(section("rnn", "nest", "`for t in 0..10` runs"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_documented_error(case) -> None:
    assert outcome(case, case.wrong, case.wrong_arguments) == case.text
    assert case.text.partition("error[")[2].startswith(f"{case.code}]")
    assert outcome(case, case.right, case.right_arguments) == ""


def test_every_code_has_its_programs() -> None:
    assert {case.code for case in all_cases()} == set(CODES) - set(WITHOUT_CASE)


def test_every_public_name_is_on_the_python_page() -> None:
    page = (FOLDER / "reference" / "python.md").read_text(encoding="utf-8")
    names = [f"polydsl.{name}" for name in polydsl.__all__]
    names += [f"polydsl.tuning.{name}" for name in polydsl.tuning.__all__]
    names.remove("polydsl.tuning")
    assert [name for name in names if not re.search(rf"{name}\b", page)] == []


def test_every_variable_is_on_its_page() -> None:
    page = PAGES["reference/environment.md"]()
    assert all(f"`{row.name}`" in page for row in VARIABLES)
