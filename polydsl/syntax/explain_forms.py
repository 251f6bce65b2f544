"""Statements, definitions and imports that do not have their form."""

from __future__ import annotations

from difflib import get_close_matches

from polydsl.syntax.place import QUOTED, Finding, Place

FORMS = "a statement is y[i] = e, y[i] += e, y: f32[N], i in range(n) or return y"
HEADER = "kernel NAME(x: f32[N], *, c: int = 1) -> f32[N]:"
_IMPORT = "an import has the form from stdlib.activation import softmax"
_ASSIGN = frozenset({"EQUAL", "PLUS_EQUAL", "STAR_EQUAL"})


def explain_form(place: Place) -> Finding | None:
    """Explain a line that is none of the forms of the language."""
    if place.level == QUOTED:
        return _quoted(place)
    if place.in_header:
        return _definition(place)
    if place.first == "FROM":
        return _import(place)
    if place.level == 0:
        return _outside(place)
    return _return(place) if place.first == "RETURN" else _statement(place)


def _quoted(place: Place) -> Finding | None:
    if place.position == 0:
        return Finding(
            "E0016",
            "the string does not hold a type",
            hint='a type is written "f32[N, M]"',
        )
    if place.here.kind == "COMMA" and not place.bracket()[0]:
        return Finding(
            "E0016",
            "one type stands here",
            label="a second one would follow",
            hint='a tuple of results is written "(f32[N], f32[M])"',
        )
    return None


def _outside(place: Place) -> Finding | None:
    if place.position > 0:
        return None
    here = place.here
    names = [lexeme.kind for lexeme in place.lexemes[:3]] == ["NAME", "NAME", "LPAR"]
    if names and get_close_matches(here.text.lower(), ("kernel", "def"), 1):
        return Finding(
            "E0025", f"expected kernel, found {here.text}", hint="write kernel"
        )
    if here.kind == "STRING":
        return Finding(
            "E0025",
            "a docstring stands at the top of the file and under a header",
            hint="write a comment with #",
        )
    return Finding(
        "E0025",
        "only kernels and imports stand outside of a kernel",
        label="it is on a level with the definitions",
        hint="indent a statement under the header of its kernel",
    )


def _import(place: Place) -> Finding | None:
    here = place.here
    if place.position == 0:
        return Finding(
            "E0021",
            "an import stands at the top of the file",
            label="kernels stand before it" if place.level == 0 else "in a kernel",
            hint="move it above the first kernel",
        )
    message = "the import is not complete"
    if here.kind == "STAR":
        message = "every kernel is imported by its name"
    elif here.text == "as":
        message = "an imported kernel keeps its name"
    elif here.kind == "IMPORT":
        message = "the import names no file"
    return Finding("E0021", message, hint=_IMPORT)


def _definition(place: Place) -> Finding | None:
    depth = place.kinds.count("LPAR") - place.kinds.count("RPAR")
    if "ARROW" not in place.kinds and depth == 1 and not place.wants_expression:
        finding = _parameter(place)
        if finding is not None:
            return finding
    before, here = place.before, place.here
    if before is None:
        return None
    if before.kind == "COLON" and place.accepted == {"_NEWLINE"}:
        return Finding(
            "E0008",
            "the block of a kernel stands on lines of its own",
            label="this belongs on the next line",
            hint="break the line after ':' and indent what follows",
        )
    if before.kind in ("KERNEL", "DEF"):
        return Finding("E0015", "the kernel has no name", hint=f"write {HEADER}")
    if place.accepted == {"LPAR"}:
        return _no_parameters(place)
    if here.kind == "COMMA" and "ARROW" in place.kinds:
        return Finding(
            "E0016",
            "several result types stand in parentheses",
            hint="write -> (f32[N], f32[M])",
        )
    if here.kind == "_NEWLINE" and "COLON" in place.accepted:
        return Finding("E0015", "the header does not end in ':'", hint="add ':'")
    if "STRING" in place.accepted and "NAME" in place.accepted:
        return Finding("E0016", "a type is missing", hint="a type is written f32[N, M]")
    return None


def _no_parameters(place: Place) -> Finding:
    if place.here.kind == "LSQB":
        return Finding(
            "E0015",
            "a kernel has no type parameters",
            hint="a dtype variable needs no declaration: x: T[N]",
        )
    return Finding(
        "E0015", "the kernel has no list of parameters", hint=f"write {HEADER}"
    )


def _parameter(place: Place) -> Finding | None:
    """Explain a parameter; the place is in the brackets of a header."""
    before, here = place.before, place.here
    if before is None:
        return None
    if before.kind == "STAR":
        return _after_star(place)
    if here.kind in ("STAR", "DOUBLE_STAR", "SLASH") and before.kind != "NAME":
        second = here.kind == "STAR" and "STAR" in place.kinds
        return Finding(
            "E0015",
            "one * stands in a list of parameters"
            if second
            else f"'{here.text}' has no meaning in a list of parameters",
            label="the second" if second else "",
            hint=f"write {HEADER}",
        )
    if place.accepted == {"COLON"}:
        constant = "STAR" in place.kinds
        return Finding(
            "E0015",
            f"the parameter {before.text} has no type",
            span=before.span,
            hint=f"write {before.text}: {'int' if constant else 'f32[N]'}",
        )
    if here.kind == "EQUAL" and "STAR" not in place.kinds:
        return Finding(
            "E0015",
            "a tensor parameter has no default",
            hint="constants stand after a *: *, stride: int = 1",
        )
    return None


def _after_star(place: Place) -> Finding:
    if place.here.kind == "NAME":
        return Finding(
            "E0015",
            "a kernel takes a fixed number of tensors",
            label=f"*{place.here.text}",
            hint="put a comma after *, and constants behind it",
        )
    return Finding(
        "E0015",
        "no constant stands after the *",
        hint="write *, stride: int = 1, or remove the *",
    )


def _return(place: Place) -> Finding:
    here = place.here
    if here.kind == "_NEWLINE" and place.position == 1:
        return Finding("E0022", "return names no result", hint="write return y")
    if here.kind == "LPAR" and place.position == 1:
        hint = "write return a, b without brackets"
    elif here.kind == "LSQB":
        hint = "a result is a whole tensor: return y"
    else:
        hint = "give the result a name: r[i] = ..., then return r"
    return Finding("E0022", "return takes names of tensors", hint=hint)


def _statement(place: Place) -> Finding | None:
    here, kinds = place.here, place.kinds
    if place.position == 0:
        return _no_statement(place)
    if kinds == ("KERNEL",) and here.kind == "NAME":
        return _nested(place)
    if here.kind == "EQUAL" and kinds[:2] == ("NAME", "COLON"):
        return Finding(
            "E0010",
            "the type and the value of a tensor are two statements",
            hint="write y: f32[N] in one line and y[i] = e in the next",
        )
    if here.kind == "COLON" and kinds[-1] == "RSQB" and kinds[0] == "NAME":
        return _typed_access(place)
    if place.wants_name and "COMMA" in kinds and "EQUAL" not in kinds:
        return Finding(
            "E0001",
            "expected a name after ','",
            hint="write a, b = g(x), or a = g(x) for one result",
        )
    if kinds[-1] == "IN" and place.accepted == {"RANGE"}:
        return Finding(
            "E0001",
            "an index ranges over range(...)",
            hint="write i in range(n) or i in range(lo, hi)",
        )
    if place.bracket() == ("LPAR", "RANGE") and place.accepted == {"RPAR"}:
        return Finding(
            "E0011",
            "a range has no step",
            label="range takes one or two bounds",
            hint="scale the index where it is used: x[2*i]",
        )
    if here.kind in ("IN", "DOT"):
        return None
    if _ASSIGN & place.accepted and not _ASSIGN & set(kinds):
        return _no_assignment(place)
    return None


def _nested(place: Place) -> Finding:
    return Finding(
        "E0025",
        "a kernel stands inside a kernel",
        hint="put it on a level with the other and call it",
        span=place.lexemes[0].span,
    )


def _no_statement(place: Place) -> Finding:
    kind = place.here.kind
    if kind == "STRING":
        return Finding(
            "E0025",
            "a docstring stands at the top of the file and under a header",
            hint="write a comment with #",
        )
    if kind == "DEF":
        return _nested(place)
    if kind == "ELLIPSIS":
        return Finding("E0010", "'...' is not a statement", hint=FORMS)
    if kind == "LPAR" and "EQUAL" in [word.kind for word in place.lexemes]:
        hint = "write a, b = g(x) without brackets on the left"
        return Finding("E0001", "a statement begins with a name", hint=hint)
    return Finding("E0001", "a statement begins with a name", hint=FORMS)


def _typed_access(place: Place) -> Finding | None:
    if place.bracket()[0]:
        return None
    name = place.lexemes[0].text
    return Finding(
        "E0001",
        "a declaration names the whole tensor",
        hint=f"write {name}: f32[N]",
    )


def _no_assignment(place: Place) -> Finding:
    """Explain what stands where a left side should be followed by `=`."""
    if place.here.kind == "EQUAL_EQUAL":
        return Finding(
            "E0012", "'==' compares, it does not define", hint="write a single ="
        )
    if "COMMA" in (*place.kinds, place.here.kind):
        return Finding(
            "E0001",
            "several names on the left are the results of one call",
            label=f"'{place.here.text}' does not fit",
            hint="write a, b = g(x), with names of whole tensors",
        )
    if _ASSIGN & {lexeme.kind for lexeme in place.lexemes[place.position :]}:
        return Finding(
            "E0001",
            "the left side of a statement is a tensor or an element of it",
            label=f"'{place.here.text}' does not fit",
            hint="write y = e, y[i] = e or a, b = g(x)",
        )
    if place.here.kind == "LPAR":
        return Finding(
            "E0010",
            "a call stands for itself",
            label="its value is not used",
            hint="name its results: y = f(x)",
        )
    return Finding(
        "E0010", "an expression alone defines nothing", hint="write y[i] = ..."
    )
