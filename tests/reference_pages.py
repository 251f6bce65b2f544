"""The pages that are made from tables and golden files: errors, functions, environment,
command line, standard library, the life of a kernel. `python tests/reference_pages.py`
writes them into docs; a test says whether they are up to date.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import click
from check_cases import Case
from error_cases import WITHOUT_CASE, all_cases, is_python
from life_page import life_page

from polydsl.base.codes import CODES
from polydsl.base.functions import FUNCTIONS
from polydsl.base.options import VARIABLES
from polydsl.driver.cli import commands
from polydsl.driver.imports import standard_names
from polydsl.driver.loading import load_standard

FOLDER = Path(__file__).parent.parent / "docs"

_GROUPS = {
    "E00": "The text",
    "E01": "Names and definitions",
    "E02": "Types and shapes",
    "E03": "Proved with the numbers of a specialisation",
    "E04": "Calls and imports",
    "E05": "Not compiled yet",
    "W01": "Warnings",
}


def errors_page() -> str:
    """Every code with a wrong program, what is said about it, and a right one."""
    lines = [
        "# Errors",
        "",
        "Every diagnostic has a code, one line that says what is wrong, the place "
        "(`file:line:column`, from 1), what is there, and what to do. All errors of a "
        "stage are reported at once. From Python they are raised as "
        "`polydsl.ProgramError`, whose `diagnostics` hold them; the command line "
        "prints them on stderr and exits with 1.",
        "",
        "Of each code one wrong program is shown, and the same one put right. `k.pdl` "
        "is the file; behind `with` stand the arguments for which it is specialised.",
        "",
    ]
    first = {case.code: case for case in reversed(all_cases())}
    for prefix, codes in groupby(CODES, key=lambda code: code[:3]):
        lines += [f"## {_GROUPS[prefix]}", ""]
        for code in codes:
            lines += [f"### {code}", "", f"{_sentence(CODES[code])}", ""]
            if code in first:
                lines += _example(first[code])
            else:
                lines += [WITHOUT_CASE[code], ""]
    return "\n".join(lines)


def _sentence(meaning: str) -> str:
    return f"{meaning[0].upper()}{meaning[1:]}."


def _example(case: Case) -> Iterator[str]:
    language = "python" if is_python(case) else "pdl"
    yield from _program("Wrong", case.wrong, case.wrong_arguments, language)
    yield from ("```text", *case.text.splitlines(), "```", "")
    yield from _program("Right", case.right, case.right_arguments, language)


def _program(title: str, text: str, arguments: str, language: str) -> Iterator[str]:
    """Yield the files of a program; text that is wrong is not highlighted."""
    yield f"{title}, with `{arguments}`:" if arguments else f"{title}:"
    yield ""
    for file in text.split("\n>>>> "):
        name, _, content = file.partition("\n")
        if name.endswith((".pdl", ".py")):
            yield from (f"and beside it `{name}`:", "")
            file = content
        kind = "text" if title == "Wrong" else language
        yield from (f"```{kind}", *file.rstrip("\n").splitlines(), "```", "")


def functions_page() -> str:
    """The scalar functions with the error that compiled code may have."""
    lines = [
        "# Functions and operators",
        "",
        "The largest error is in units in the last place of the result: 0.5 is rounded "
        "as well as can be, 0 is exact. It holds for `f32` and `f64`, in scalar code "
        "and in vectors of every instruction set, and is measured by the tests.",
        "",
        "| written | operands | error in ulp |",
        "| --- | --- | --- |",
    ]
    for row in FUNCTIONS.values():
        if row.internal:
            continue
        written = f"`{row.symbol}`" if row.symbol else f"`{row.name}`"
        count = f"{row.arity} or more" if row.variadic else str(row.arity)
        lines.append(f"| {written} | {count} | {row.ulp:g} |")
    return "\n".join([*lines, ""])


def environment_page() -> str:
    """The environment variables."""
    lines = [
        "# Environment variables",
        "",
        "Read once, when polydsl compiles its first kernel.",
        "",
        "| variable | value | without it | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for row in VARIABLES:
        lines.append(f"| `{row.name}` | {row.value} | {row.default} | {row.meaning} |")
    return "\n".join([*lines, ""])


def cli_page() -> str:
    """What `polydsl --help` says, of every command."""
    lines = [
        "# Command line",
        "",
        "Exit codes: 0 done; 1 the program or the arguments are wrong (diagnostics on "
        "stderr); 2 usage; 3 a check failed; 70 a bug in polydsl.",
        "",
    ]
    for words, command in _commands(commands, ("polydsl",)):
        lines += [f"## {' '.join(words)}", "", *_document(command.help), ""]
        lines += [f"    {_usage(words, command)}", ""]
        options = [p for p in command.params if isinstance(p, click.Option)]
        if options:
            lines += ["| option | meaning |", "| --- | --- |"]
            lines += [f"| `{_spelling(p)}` | {p.help} |" for p in options]
            lines.append("")
    return "\n".join(lines)


def _usage(words: tuple[str, ...], command: click.Command) -> str:
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    shown = [p.metavar or (p.name or "").upper() for p in arguments]
    optional = [
        name if p.required or name.startswith("[") else f"[{name}]"
        for p, name in zip(arguments, shown)
    ]
    rest = ["COMMAND"] if isinstance(command, click.Group) else []
    return " ".join((*words, *optional, "[OPTIONS]", *rest))


def _spelling(option: click.Option) -> str:
    names = " / ".join((*option.opts, *option.secondary_opts))
    if option.is_flag:
        return names
    value = option.metavar
    if value is None and isinstance(option.type, click.Choice):
        value = "|".join(option.type.choices)
    return f"{names} {value or option.type.name.upper()}".replace("|", "\\|")


def _commands(
    command: click.Command, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield words, command
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _commands(command.commands[name], (*words, name))


def stdlib_page() -> str:
    """Every kernel of the standard library."""
    lines = [
        "# Standard library",
        "",
        "From Python `polydsl.stdlib.conv.conv2d(x, w)`; in a `.pdl` file "
        "`from stdlib.conv import conv2d`; on the command line `polydsl run "
        "stdlib.conv conv2d --size ...`.",
        "",
    ]
    for name in standard_names():
        module = load_standard(name)
        lines += [f"## stdlib.{name}", "", *_document(module.__doc__), ""]
        for kernel in module:
            lines += [f"### {kernel.name}", "", "```text", kernel.signature]
            lines += ["", *_document(kernel.__doc__), "```", ""]
    return "\n".join(lines)


def _document(docstring: str | None) -> list[str]:
    return inspect.cleandoc(docstring or "").splitlines()


PAGES: dict[str, Callable[[], str]] = {
    "reference/errors.md": errors_page,
    "reference/functions.md": functions_page,
    "reference/environment.md": environment_page,
    "reference/cli.md": cli_page,
    "reference/stdlib.md": stdlib_page,
    "internals/life.md": life_page,
}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
