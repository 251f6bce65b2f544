"""Random programs that say everything twice: `doubles()`.

The second time, all tensors and indices have other names. Mostly it is the same; else
one number or function of one statement is another.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from program_builder import Program
from programs import programs

OTHER = {
    "max(": "min(",
    "min(": "max(",
    "exp(": "tanh(",
    " * ": " + ",
    " - ": " + ",
    " < ": " >= ",
}
"""What is written in the place of what, in a value. Subscripts stay as they are."""


@st.composite
def doubles(draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[Program, bool]:
    """Draw a program, and whether both halves of it are the same."""
    program = draw(programs())
    head, _, rest = program.text.partition(":\n    ")
    body, end, others = rest.partition("\nkernel ")
    *lines, last = body.strip().split("\n    ")
    results = last.removeprefix("return ").split(", ")
    own = [r for r in results if not r.startswith(("x", "z"))]
    again = [_renamed(line) for line in lines]
    changed = _changed(draw, again) if draw(st.integers(0, 2)) == 2 else again
    returned = ", ".join((*results, *map(_renamed, own)))
    whole = "\n    ".join((*lines, *changed, f"return {returned}"))
    text = f"{_doubled(head, results, own)}:\n    {whole}\n{end}{others}"
    return replace(program, text=text), changed == again


def _renamed(text: str) -> str:
    """Return a text with other tensors and indices."""
    return re.sub(r"\bk(\d)", r"m\1", re.sub(r"\bt(\d)", r"s\1", text))


def _changed(draw: Callable[[st.SearchStrategy[Any]], Any], lines: list[str]) -> Any:
    """Return statements of which one computes something else."""
    found: list[tuple[int, str]] = []
    for number, line in enumerate(lines):
        if " in range(" in line or " if " in line:
            # A range or a condition may keep subscripts inside.
            continue
        left, symbol, value = line.partition("= ")
        places = [*re.finditer(r"\b\d+\.\d+\b", value)]
        made = [f"{value[: p.start()]}1.375{value[p.end() :]}" for p in places]
        made += [
            value.replace(a, b, 1) for a, b in OTHER.items() if _is_apart(a, value)
        ]
        found += [(number, f"{left}{symbol}{new}") for new in made if new != value]
    if not found:
        return lines
    number, line = draw(st.sampled_from(found))
    return [*lines[:number], line, *lines[number + 1 :]]


def _is_apart(text: str, value: str) -> bool:
    """Whether the first place of a text in a value is in no subscript."""
    place = value.find(text)
    return place >= 0 and value[:place].count("[") == value[:place].count("]")


def _doubled(head: str, results: list[str], own: list[str]) -> str:
    """Return a header with the types of results once more for the second half."""
    start, arrow, types = head.partition(" -> ")
    if not arrow:
        return head
    inner = types[1:-1] if len(results) > 1 else types
    each = re.findall(r'"?\w+(?:\[[^\]]*\])?"?', inner)
    again = [text for text, name in zip(each, results) if name in own]
    return f"{start} -> ({', '.join((*each, *again))})"
