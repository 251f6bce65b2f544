"""The header of one kernel: its functions, each documented."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from polydsl.backend.ahead.interface import Argument, Interface
from polydsl.backend.isa import VectorISA
from polydsl.driver.c_header.comments import comment, wrapped
from polydsl.driver.c_header.names import c_names
from polydsl.driver.c_header.shared import shared_text

C_TYPES: Mapping[str, str] = {
    "f64": "double",
    "f32": "float",
    "f16": "uint16_t",
    "bf16": "uint16_t",
    "i64": "int64_t",
    "i32": "int32_t",
    "i16": "int16_t",
    "i8": "int8_t",
    "u8": "uint8_t",
    "bool": "uint8_t",
}
"""The type of an element in C."""

_NOTES = {
    "f16": "the bits of an IEEE 754 half",
    "bf16": "the bits of a bfloat16",
    "bool": "0 or 1",
}


@dataclass(frozen=True, slots=True)
class Written:
    """What the user wrote: the docstring, the types of tensors by name, and which
    constants are float."""

    docstring: str
    types: Mapping[str, str]
    floats: frozenset[str]

    @property
    def document(self) -> tuple[str, ...]:
        """The docstring in lines."""
        return tuple(inspect.cleandoc(self.docstring).splitlines())


def header_text(
    interface: Interface, isas: Sequence[VectorISA], written: Written
) -> str:
    """Return the header of the functions that *interface* exports."""
    guard = f"POLYDSL_KERNEL_{interface.symbol}"
    names = c_names(argument.name for argument in interface.arguments)
    parts = [
        _introduction(interface, isas, written),
        f"#ifndef {guard}\n#define {guard}\n",
        "#include <stddef.h>\n#include <stdint.h>\n",
        '#ifdef __cplusplus\nextern "C" {\n#endif\n',
        shared_text(),
        *(_check(interface, written) if interface.sizes else ()),
        _elements(interface, names),
        *_questions(interface),
        *(_prepare(interface, names, written) if interface.bound else ()),
        _main(interface, names, written),
        "#ifdef __cplusplus\n}\n#endif\n",
        "#endif\n",
    ]
    return "\n".join(parts)


def _introduction(
    interface: Interface, isas: Sequence[VectorISA], written: Written
) -> str:
    name = interface.symbol
    numbers = ", ".join(f"{n} = {v}" for n, v in interface.sizes)
    rows = ", ".join(isa.name for isa in isas)
    return comment(
        (
            f"{name}, compiled ahead of time by polydsl.",
            "",
            *written.document,
            *([""] if written.document else []),
            *wrapped(f"Sizes and constants: {numbers or 'none'}."),
            f"Instruction sets: {rows}. The first that the CPU has is used.",
            "",
            *wrapped(
                "The object exports the functions below, whose names begin with "
                f"{name}, and nothing else: objects of several kernels go into one "
                "program. Two objects of one kernel, for other sizes, need two names: "
                "polydsl compile --name. Code is position independent and calls "
                "memcpy, memmove and memset at most."
            ),
        )
    )


def _elements(interface: Interface, names: Mapping[str, str]) -> str:
    """Return how many elements the tensors have, for declarations of arrays."""
    name = interface.symbol.upper()
    lines = [
        f"#define {name}_ELEMENTS_{names[argument.name]} {argument.elements}\n"
        for argument in interface.arguments
        if not argument.is_value
    ]
    head = comment(("How many elements each tensor has.",)) if lines else ""
    return head + "".join(lines)


def _questions(interface: Interface) -> Iterator[str]:
    name = interface.symbol
    yield _function(
        "const char *",
        f"{name}_isa",
        (),
        ("Returns the instruction set that is used on this CPU; NULL if it has none.",),
    )
    yield _function(
        "size_t",
        f"{name}_scratch_bytes",
        ("int32_t threads",),
        wrapped(
            f"Returns how much scratch {name} needs on this CPU, in bytes, where "
            "`threads` (at most 65536) of its call is this and there is a runner; with "
            "1, what it needs without a runner."
        ),
    )


def _check(interface: Interface, written: Written) -> Iterator[str]:
    """Yield the structure of sizes and the function that compares them."""
    name = interface.symbol
    members = c_names(n for n, _ in interface.sizes)
    lines = "".join(
        f"    {'double' if n in written.floats else 'int64_t'} {members[n]};\n"
        for n, _ in interface.sizes
    )
    about = ("The sizes and constants that the code is for; a bool is 0 or 1.",)
    yield f"{comment(about)}typedef struct {name}_sizes {{\n{lines}}} {name}_sizes;\n"
    yield _function(
        "polydsl_status",
        f"{name}_check",
        (f"const {name}_sizes *sizes",),
        wrapped(
            "Returns POLYDSL_OK if the object is for these sizes and constants, else "
            "POLYDSL_SIZES. Ask once, with those of your arrays, before the first call."
        ),
    )


def _prepare(
    interface: Interface, names: Mapping[str, str], written: Written
) -> Iterator[str]:
    name = interface.symbol
    yield _function(
        "size_t",
        f"{name}_prepared_bytes",
        (),
        ("Returns how large prepared memory must be on this CPU, in bytes.",),
    )
    bound = ", ".join(names[a.name] for a in interface.bound)
    rows = [
        *_described(interface.bound, names, written),
        ("prepared", "out", "prepared_bytes of memory, aligned to 64 bytes"),
        ("call", "", f"scratch and threads, as for {name}"),
    ]
    yield _function(
        "polydsl_status",
        f"{name}_prepare",
        (
            *(_declared(a, names) for a in interface.bound),
            "void *prepared",
            "size_t prepared_bytes",
            "polydsl_call *call",
        ),
        (
            *wrapped(
                f"Packs {bound} into prepared memory, which any number of calls of "
                f"{name} may then read at once, with this object and where {name}_isa "
                "is the same. The arguments are not needed any more."
            ),
            "",
            *_table(rows),
            "",
            "Returns a polydsl_status.",
        ),
    )


def _main(interface: Interface, names: Mapping[str, str], written: Written) -> str:
    name = interface.symbol
    rows = [*_described(interface.passed, names, written)]
    if interface.bound:
        rows.append(("prepared", "in", f"what {name}_prepare filled"))
    about = "scratch and threads; NULL is one thread without scratch"
    rows.append(("call", "", about))
    return _function(
        "polydsl_status",
        name,
        (
            *(_declared(a, names) for a in interface.passed),
            *(["const void *prepared"] if interface.bound else []),
            "polydsl_call *call",
        ),
        (
            *(written.document or (f"Computes {name}.",)),
            "",
            *_table(rows),
            "",
            *wrapped(
                "Arrays are row-major and without gaps; one without elements may be "
                "NULL. Results overlap nothing else. Any number of threads may call at "
                "once, each with its own call, scratch and results: nothing else is "
                "written, and no memory is allocated."
            ),
            "",
            *wrapped(
                "Returns POLYDSL_OK, or what is wrong: results are unchanged then, "
                "unless it is POLYDSL_SUBSCRIPT."
            ),
        ),
    )


_Row = tuple[str, str, str]


def _described(
    arguments: Sequence[Argument], names: Mapping[str, str], written: Written
) -> Iterator[_Row]:
    """Yield name, direction, and the type as it is written and in numbers."""
    for argument in arguments:
        shape = ", ".join(map(str, argument.shape))
        numbers = f"{argument.dtype}[{shape}]" if shape else argument.dtype.name
        text = written.types.get(argument.name, numbers)
        parts = [text if text == numbers else f"{text} = {numbers}"]
        if not argument.is_value:
            parts.append(f"aligned to {argument.dtype.bytes}")
        if argument.dtype.name in _NOTES:
            parts.append(_NOTES[argument.dtype.name])
        way = "out" if argument.is_result else "in"
        yield names[argument.name], way, "; ".join(parts)


def _table(rows: Sequence[_Row]) -> Iterator[str]:
    width = max(len(name) for name, _, _ in rows)
    return (f"{name:<{width}}  {way:<3}  {text}" for name, way, text in rows)


def _declared(argument: Argument, names: Mapping[str, str]) -> str:
    kind, name = C_TYPES[argument.dtype.name], names[argument.name]
    if argument.is_value:
        return f"{kind} {name}"
    return f"{kind} *{name}" if argument.is_result else f"const {kind} *{name}"


def _function(
    result: str, name: str, parameters: Sequence[str], lines: Iterable[str]
) -> str:
    """Return the declaration of a function under its documentation."""
    head = f"{result}{'' if result.endswith('*') else ' '}{name}("
    listed = ",\n    ".join(parameters)
    if len(parameters) > 1:
        listed = f"\n    {listed}"
    return f"{comment(lines)}{head}{listed or 'void'});\n"
