"""What Python has and the language does not: operators, words, kinds of values."""

from __future__ import annotations

from polydsl.syntax.place import Finding, Place
from polydsl.syntax.words import VALUE_FUNCTIONS

_FORMS = "a statement is y[i] = e, y[i] += e, y: f32[N], i in range(n) or return y"

_LOOP = "an index ranges by itself: y[i] += x[i, j] sums over j for every i"

_STATEMENTS = {
    "for": _LOOP,
    "while": "a recurrence is written h[t] = pad(h[t - 1]) + u[t]",
    "pass": "a kernel has at least one statement",
    "class": "a file holds kernels: kernel NAME(x: f32[N]) -> f32[N]:",
    "assert": "bounds are proved by the compiler, without assertions",
    "raise": "a kernel has no exceptions",
    "try": "a kernel has no exceptions",
    "except": "a kernel has no exceptions",
    "finally": "a kernel has no exceptions",
    "elif": "a choice is written y[i] = a if c else b",
    "else": "a choice is written y[i] = a if c else b",
    "if": "a choice is written y[i] = a if c else b",
    "async": "write kernel or def alone",
    "global": "constants are parameters after a *",
    "nonlocal": "constants are parameters after a *",
    "yield": "results are returned: return y",
    "import": "an import has the form from stdlib.activation import softmax",
}
"""Words that begin a statement of Python, with what to write for it."""

_VALUES = {
    "lambda": ("there are no functions inside a kernel", "write a kernel and call it"),
    "for": ("there are no comprehensions", "reduce over an index: sum[k](x[k])"),
    "None": ("None is not a value", "write a number"),
    "is": ("'is' is not an operator of polydsl", "numbers are compared with =="),
}

_OPERATORS = {
    "-=": "write += and negate the right side: y[i] += -e",
    "/=": "write *= and invert the right side: y[i] *= 1/e",
    ":=": "give the value a statement of its own",
    "&": "conditions are joined by and",
    "&&": "conditions are joined by and",
    "|": "conditions are joined by or",
    "||": "conditions are joined by or",
    "^": "a power is written x**2",
    "~": "a condition is negated by not",
    "!": "a condition is negated by not",
    "@": "a matrix product is written y[i, j] += a[i, k] * b[k, j]",
    "<>": "unequal is written !=",
    "<<": "write x * 2**n",
    ">>": "write x // 2**n",
    "?": "a choice is written a if c else b",
}
_ASSIGNING = "tensors are written by =, += and *= only; give the result a new name"


def foreign_operator(place: Place) -> Finding | None:
    """Explain an operator that the language does not have."""
    text = place.here.text
    if place.here.kind != "PYTHON_OPERATOR":
        return None
    if text in ("{", "}"):
        return Finding(
            "E0011",
            "there are no sets and dictionaries in polydsl",
            hint="a table of values is a tensor parameter",
        )
    if text == "@" and place.position == 0:
        return Finding(
            "E0025",
            "a decorator stands in a Python file only",
            label="this text is not a Python file",
            hint="remove the line",
        )
    default = _ASSIGNING if text.endswith("=") else "remove it"
    return Finding(
        "E0012",
        f"'{text}' is not an operator of polydsl",
        hint=_OPERATORS.get(text, default),
    )


def word_as_name(place: Place) -> Finding | None:
    """Explain a reserved word where only a name can stand."""
    here, behind = place.here, place.ahead(1).kind
    if here.kind not in _WORDS:
        return None
    if place.position == 0:
        named = behind in _DEFINING or (behind == "LSQB" and _assigns(place))
    else:
        named = place.wants_name and place.first != "RETURN"
    if not named or (place.position and _names_no_type(place)):
        return None
    return Finding(
        "E0013",
        f"{here.text} is reserved and cannot be a name",
        label="a word of Python" if here.kind != "RANGE" else "a word of the language",
        hint=f"choose another name, for example {here.text.lower()}_",
    )


_WORDS = frozenset(
    {"PYTHON_WORD", "IF", "ELSE", "IN", "NOT", "AND", "OR", "TRUE", "FALSE"}
    | {"FROM", "IMPORT", "RETURN", "DEF", "RANGE"}
)
_DEFINING = ("EQUAL", "PLUS_EQUAL", "STAR_EQUAL")


def _names_no_type(place: Place) -> bool:
    """Whether `None` stands for a type, or `import` for the path of an import."""
    if place.first == "FROM":
        return place.here.kind == "IMPORT" and "IMPORT" not in place.kinds
    return place.here.text == "None" and "STRING" in place.accepted


def _assigns(place: Place) -> bool:
    return any(lexeme.kind in _DEFINING for lexeme in place.lexemes)


def foreign_word(place: Place) -> Finding | None:
    """Explain a word of Python that the language does not have."""
    kind, text = place.here.kind, place.here.text
    starts = place.position == 0
    if starts and (kind == "PYTHON_WORD" or kind in ("IF", "ELSE", "IMPORT")):
        code = "E0021" if kind == "IMPORT" else "E0010"
        return Finding(
            code,
            f"there is no '{text}' statement in polydsl",
            hint=_STATEMENTS.get(text, _FORMS),
        )
    if kind == "PYTHON_WORD" and place.first == "FROM":
        return None
    if text == "None" and place.kinds[-1:] in (("ARROW",), ("COLON",)):
        return Finding(
            "E0016",
            "None is not a type",
            hint="a kernel returns tensors: -> f32[N]",
        )
    if kind == "PYTHON_WORD":
        message, hint = _VALUES.get(
            text, (f"'{text}' is a word of Python without a meaning here", "remove it")
        )
        return Finding("E0011", message, hint=hint)
    return None


def other_value(place: Place) -> Finding | None:
    """Explain values and forms of access that the language does not have."""
    match place.here.kind:
        case "STRING" if place.wants_expression or place.wants_operator:
            return Finding("E0011", "a string is not a value", hint=_STRING)
        case "DOT" if place.before is not None and place.before.kind == "NAME":
            return _attribute(place)
        case "COLON" if place.bracket()[0] == "LSQB":
            return Finding(
                "E0011",
                "there are no slices in polydsl",
                label="a subscript is one expression",
                hint="name an index and give its range: i in range(lo, hi)",
            )
        case "LSQB":
            return _brackets(place)
        case "COMMA" if place.wants_operator:
            return _tuple(place)
        case "IN" | "RANGE":
            return _range(place)
        case "ELLIPSIS" if place.wants_expression or place.wants_operator:
            return Finding(
                "E0019",
                "'...' stands for leading dimensions only",
                label="it is not the first in a bracket here",
                hint="write it first in a subscript or a type: x[..., i]",
            )
        case "EQUAL" if place.wants_operator:
            return _equal(place)
        case "NOT" if place.wants_expression:
            return Finding(
                "E0001",
                "'not' binds more loosely than the operator before it",
                hint="put it in parentheses: (not c)",
            )
        case _:
            return None


_STRING = "values are numbers and tensors; a constant is int, float or bool"


def _attribute(place: Place) -> Finding:
    owner = place.before.text if place.before is not None else ""
    name = place.ahead(1).text
    hint = "write names without dots"
    if name in VALUE_FUNCTIONS:
        hint = f"functions have plain names: {name}(...)"
    elif name == "T":
        hint = f"exchange the subscripts instead: {owner}[j, i]"
    elif name == "shape":
        hint = "sizes have the names they have in the types of the parameters"
    return Finding("E0011", "there are no attributes in polydsl", hint=hint)


def _brackets(place: Place) -> Finding | None:
    if place.wants_expression:
        inside = [lexeme.text for lexeme in place.lexemes[place.position :]]
        if "for" in inside:
            message, hint = _VALUES["for"]
            return Finding("E0011", message, hint=hint)
        hint = "a table of values is a tensor parameter"
        return Finding("E0011", "there are no lists in polydsl", hint=hint)
    if place.kinds[-1:] == ("RSQB",):
        return Finding(
            "E0011",
            "a tensor takes all its subscripts in one pair of brackets",
            label="a second pair",
            hint="write x[i, j] for x[i][j]",
        )
    if place.wants_operator:
        return Finding(
            "E0011",
            "only a tensor's name can be followed by subscripts",
            hint="store the value first: t[i] = ..., then read t[i]",
        )
    return None


def _tuple(place: Place) -> Finding | None:
    bracket, opened_after = place.bracket()
    if bracket == "LPAR" and opened_after == "RSQB":
        return Finding("E0018", "a reduction takes one expression", hint=_SPLIT)
    return Finding("E0011", "there are no tuples in polydsl", hint=_SPLIT)


_SPLIT = "write one expression, and a statement of its own for each other"


def _range(place: Place) -> Finding | None:
    after_names = set(place.kinds) <= {"NAME", "KERNEL", "COMMA"}
    if place.here.kind == "IN" and after_names and place.kinds.count("COMMA"):
        return Finding(
            "E0011",
            "every index has a range statement of its own",
            hint="write i in range(n) and j in range(m) in two lines",
        )
    if not (place.wants_expression or place.wants_operator):
        return None
    return Finding(
        "E0011",
        f"'{place.here.text}' stands only in a statement like i in range(n)",
        hint="declare the range of the index in a line of its own",
    )


def _equal(place: Place) -> Finding:
    if place.bracket()[0]:
        return Finding(
            "E0012", "'=' does not compare", hint="a comparison is written a == b"
        )
    return Finding(
        "E0011",
        "a statement has one '='",
        label="the second",
        hint="write two statements, or == for a comparison",
    )
