"""Names of a kernel as identifiers of C and C++."""

from __future__ import annotations

import re
from collections.abc import Iterable

from polydsl.base.diagnostics import ArgumentError

_KEYWORDS = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char
char8_t char16_t char32_t class co_await co_return co_yield compl concept const
const_cast consteval constexpr constinit continue decltype default delete do
double dynamic_cast else enum explicit export extern false float for friend goto
if inline int long mutable namespace new noexcept not not_eq nullptr operator or
or_eq private protected public register reinterpret_cast requires restrict
return short signed sizeof static static_assert static_cast struct switch
template this thread_local throw true try typedef typeid typename typeof union
unsigned using virtual void volatile wchar_t while xor xor_eq
"""
_HEADER_NAMES = """
NULL linux unix i386 size_t ptrdiff_t int8_t int16_t int32_t int64_t uint8_t
uint16_t uint32_t uint64_t call prepared prepared_bytes sizes threads
"""

KEYWORDS = frozenset(_KEYWORDS.split())
"""The keywords of C and C++."""

_TAKEN = frozenset(_HEADER_NAMES.split())
# Functions that a program has already, and that the code may call.
_FUNCTIONS = frozenset(("main", "memcpy", "memmove", "memset", "memcmp"))
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


def c_names(names: Iterable[str]) -> dict[str, str]:
    """Return an identifier for each of some different names, all different.

    Most stay as they are. What means something else in C gets an underscore at its end,
    and an underscore at the beginning, which C keeps for itself, an `x` before it.
    """
    found: dict[str, str] = {}
    for name in names:
        plain = f"x{name}" if name.startswith("_") else name
        while plain in KEYWORDS or plain in _TAKEN or plain in found.values():
            plain += "_"
        found[name] = plain
    return found


def checked_symbol(name: str) -> str:
    """Return the name of a C function. Raises `ArgumentError` for one that C or the
    objects keep for themselves."""
    reason = ""
    if not _IDENTIFIER.match(name):
        reason = "is no C identifier that begins with a letter"
    elif name in KEYWORDS:
        reason = "is a keyword of C or C++"
    elif name in _FUNCTIONS:
        reason = "is a function of every C program"
    elif name.lower().startswith("polydsl_"):
        reason = "begins with polydsl_, which is for what all kernels share"
    if reason:
        raise ArgumentError(
            f"a C function cannot be called {name!r}, which {reason}; give it another "
            "name: --name conv, in Python name='conv'"
        )
    return name
