"""One object with a kernel for several instruction sets.

The versions are emitted one by one, each with functions of its own features, and linked
into the module of the exported functions, where everything but these is made internal.
So neither a linker is needed, nor can two objects meet in a symbol.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from polydsl.backend.ahead.call import Helpers
from polydsl.backend.ahead.cpu import emit_choice
from polydsl.backend.ahead.entry import declare_parts, define_entries
from polydsl.backend.ahead.interface import Interface, Version
from polydsl.backend.ahead.queries import (
    define_prepared_bytes,
    define_queries,
    define_scratch_bytes,
)
from polydsl.backend.isa import GENERIC, VectorISA
from polydsl.backend.jit import ENTRY_POINTS, compile_object
from polydsl.backend.target import Target, host_rows, host_target, target_for
from polydsl.base.diagnostics import bug

# The exported functions ask the CPU in inline assembly. Idempotent, as in `jit`.
llvm.initialize_native_asmparser()


def portable_target(isa: VectorISA) -> Target:
    """Return the target that runs on every CPU of a row, whatever else this one has."""
    return target_for(isa, llvm.get_process_triple())


def measured_target(isa: VectorISA) -> Target:
    """Return the target whose numbers schedules are chosen by: this CPU, if it can."""
    return host_target(isa.name) if isa in host_rows() else portable_target(isa)


def makes(isa: VectorISA) -> bool:
    """Whether code for a row can be made for this kind of CPU."""
    return isa.is_baseline or "x86_64" in llvm.get_process_triple()


def object_code(interface: Interface, versions: Sequence[Version]) -> bytes:
    """Return the object that exports *interface*; the first version that fits runs."""
    return compile_object(_linked(interface, versions), portable_target(GENERIC))


def _exporting_module(interface: Interface, versions: Sequence[Version]) -> ir.Module:
    """Return the module of the exported functions, which declares the versions."""
    module = ir.Module(name=interface.symbol, context=ir.Context())
    module.triple = portable_target(GENERIC).triple
    choice = emit_choice(module, [version.target.isa for version in versions])
    scratch = define_scratch_bytes(module, versions)
    prepared = define_prepared_bytes(module, interface, versions)
    parts = declare_parts(module, versions)
    helpers = Helpers(choice, scratch, prepared, parts)
    define_entries(module, interface, versions, helpers)
    define_queries(module, interface, versions, helpers)
    return module


def _linked(interface: Interface, versions: Sequence[Version]) -> str:
    """Return the text of one module, in which only the interface is visible."""
    context = llvm.create_context()
    whole = _parsed(str(_exporting_module(interface, versions)), context)
    for version in versions:
        part = _parsed(version.text, context)
        for name, new in zip(ENTRY_POINTS, (version.main, version.prepare)):
            part.get_function(name).name = new
        whole.link_in(part)
    for value in (*whole.functions, *whole.global_variables):
        if not value.is_declaration and value.name not in interface.exports:
            value.linkage = "internal"
    return str(whole)


def _parsed(text: str, context: Any) -> Any:
    try:
        return llvm.parse_assembly(text, context)
    except RuntimeError as error:
        bug(f"the emitted LLVM IR is wrong: {error}")
