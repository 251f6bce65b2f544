"""Every diagnostic code of the language with its one-line meaning.

E00 text, E01 names and definitions, E02 types and shapes, E03 what is proved with
numbers, E04 calls and imports, E05 what is not compiled yet, W warnings. The
reference page of errors is made from this table and the examples in the tests.
"""

from __future__ import annotations

CODES: dict[str, str] = {
    # E00: text
    "E0001": "the words of a line do not fit the grammar",
    "E0002": "a character has no meaning in the language",
    "E0003": "a bracket is never closed",
    "E0004": "a closing bracket closes nothing",
    "E0005": "a string is never closed",
    "E0006": "a tab indents a line",
    "E0007": "the indentation of a line fits no block",
    "E0008": "a kernel has no block of lines under its header",
    "E0009": "a line is ended by ';' or continued by a backslash",
    "E0010": "a statement of Python that is not part of the language",
    "E0011": "an expression of Python that is not part of the language",
    "E0012": "an operator that is not part of the language",
    "E0013": "a reserved word is used as a name or as a value",
    "E0014": "an expression or its brackets are nested too deeply",
    "E0015": "the header of a kernel or one of its parameters has not its form",
    "E0016": "a type has not its form",
    "E0017": "the arguments of a call have not their form",
    "E0018": "a reduction has not its form",
    "E0019": "'...' stands where no leading dimensions can",
    "E0020": "a numeric literal is malformed or too large",
    "E0021": "an import has not its form or its place",
    "E0022": "a return does not name tensors",
    "E0023": "the text of a Python function cannot be found",
    "E0024": "a Python function is not a plain def",
    "E0025": "a line stands where its kind has no place",
    # E01: names and definitions
    # E02: types, ranks and shapes
    # E03: proved at specialisation
    "E0312": "a tensor is accessed outside its bounds",
    "E0313": "an element is read that no statement defines",
    "E0314": "points of a recurrence need each other, so no order exists",
    "E0315": "argmax or argmin over nothing",
    # E04: calls and imports
    # E05: not compiled yet
    # W: warnings
}
