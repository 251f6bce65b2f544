"""Kernels inside Python files: the text of a decorated function.

The function is never called. `source_of` returns the text of its `def`, without the
decorators and exactly as it stands in the file, so that every place in it is a place
in the user's `.py`.
"""

from __future__ import annotations

import inspect
import tokenize
from collections.abc import Callable
from types import FunctionType
from typing import Any

from polydsl.base.diagnostics import ArgumentError, Diagnostic, ProgramError
from polydsl.base.source import Source, Span
from polydsl.syntax import ast
from polydsl.syntax.parser import parse

_COROUTINE = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def source_of(function: Callable[..., Any]) -> Source:
    """Return the text of a Python function's definition, from `def` on.

    Raises `ArgumentError` for what is no Python function and `ProgramError` where the
    text cannot be had (exec, the interactive interpreter) or is no plain `def`.
    """
    function = inspect.unwrap(function)
    if not isinstance(function, FunctionType):
        raise ArgumentError(
            f"a kernel is made from a Python function, not from {_describe(function)}"
        )
    code = function.__code__
    if code.co_name == "<lambda>":
        raise _refusal(function, "E0024", "a lambda cannot be a kernel", _USE_DEF)
    if code.co_flags & _COROUTINE:
        message = f"the async function {code.co_name} cannot be a kernel"
        raise _refusal(function, "E0024", message, "write def for async def")
    try:
        lines, first = inspect.getsourcelines(code)
        offset = _def_line(lines)
    except (OSError, SyntaxError, tokenize.TokenError, StopIteration):
        message = f"the text of the function {code.co_name} cannot be found"
        raise _refusal(function, "E0023", message, _USE_LOADS) from None
    text = "".join(lines[offset:])
    return Source(code.co_filename, text, max(first, 1) + offset)


def parse_function(function: Callable[..., Any]) -> ast.Module:
    """Return the syntax tree of a Python function: a module with one kernel."""
    source = source_of(function)
    module = parse(source)
    name = inspect.unwrap(function).__code__.co_name
    if [kernel.name.name for kernel in module.kernels] == [name]:
        return module
    raise ProgramError(
        (
            Diagnostic(
                "E0023",
                f"the file does not hold the function {name} in this line any more",
                Span(source, 0, 0),
                hint="the file was changed after Python read it: start Python anew",
            ),
        )
    )


_USE_DEF = "write a def, or give the text of a kernel to polydsl.loads"
_USE_LOADS = "a kernel is read as text: keep it in a file, or use polydsl.loads(text)"


def _def_line(lines: list[str]) -> int:
    """Return how many lines stand before the one that begins with `def`."""
    depth = 0
    begins = True
    for token in tokenize.generate_tokens(iter(lines).__next__):
        if begins and depth == 0 and token.string == "def":
            return token.start[0] - 1
        if token.type == tokenize.OP:
            depth += {"(": 1, "[": 1, "{": 1}.get(token.string, 0)
            depth -= {")": 1, "]": 1, "}": 1}.get(token.string, 0)
        begins = token.type in _LINE_BEGINS or (begins and token.type in _BLANK)
    raise OSError


_LINE_BEGINS = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
_BLANK = (tokenize.NL, tokenize.COMMENT)


def _describe(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"an object of type {type(value).__name__}"


def _refusal(
    function: FunctionType, code: str, message: str, hint: str
) -> ProgramError:
    """Return the error about a function whose text is not at hand."""
    place = function.__code__
    text = f"def {place.co_name}(...)" if place.co_name.isidentifier() else "lambda ..."
    source = Source(place.co_filename, text, max(place.co_firstlineno, 1))
    span = Span(source, 0, len(text))
    return ProgramError((Diagnostic(code, message, span, "", hint),))
