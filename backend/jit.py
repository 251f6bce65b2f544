"""From LLVM IR text to object code, and from object code to callable addresses.

`compile_object` parses, verifies, optimises and emits; `load` links an object into
this process through LLJIT and gives addresses by name. Object code depends on the
text and the target only, so it can be cached on disk and loaded in a later process.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import llvmlite.binding as llvm

from polydsl.backend.target import Target
from polydsl.base.diagnostics import bug

# LLVM's own tables of code generators: registering them is idempotent and holds no
# state of ours. All of them, since objects are also emitted for other machines.
llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()

# Every call into LLVM holds this lock of llvmlite. A fork waits for it: in the child, a
# call that another thread was in would never end.
_calls = llvm.ffi.lib._lock
os.register_at_fork(
    before=_calls.__enter__,
    after_in_parent=_calls.__exit__,
    after_in_child=_calls.__exit__,
)

ENTRY_POINTS = ("polydsl_main", "polydsl_prepare")
"""The functions that every compiled kernel exports."""


def compile_object(ir_text: str, target: Target) -> bytes:
    """Return relocatable object code of a module, verified and optimised."""
    machine = _target_machine(target)
    return bytes(machine.emit_object(_optimised(ir_text, target, machine)))


def assembly(ir_text: str, target: Target) -> str:
    """Return the assembly text of the code that `compile_object` gives."""
    machine = _target_machine(target)
    return str(machine.emit_assembly(_optimised(ir_text, target, machine)))


def optimised_ir(ir_text: str, target: Target) -> str:
    """Return the module as LLVM IR text after optimisation."""
    return str(_optimised(ir_text, target, _target_machine(target)))


@dataclass(frozen=True, slots=True, eq=False)
class NativeKernel:
    """Machine code in this process. It is unloaded when the last reference goes."""

    addresses: Mapping[str, int]
    # The engine and the tracker own the memory; nobody else reads them.
    _owners: tuple[Any, ...] = field(repr=False, default=())

    def address(self, name: str) -> int:
        """Return where the exported function *name* starts."""
        if name not in self.addresses:
            bug(f"the kernel was loaded without the symbol {name}")
        return self.addresses[name]


def load(
    object_code: bytes,
    symbols: Mapping[str, int] | None = None,
    exports: tuple[str, ...] = ENTRY_POINTS,
    owners: tuple[object, ...] = (),
) -> NativeKernel:
    """Link *object_code* into this process and look up its *exports*.

    *symbols* are addresses of functions that the code calls outside itself; *owners*
    keep them valid and live as long as the code. Besides them only `memcpy`, `memmove`
    and `memset` are known, which LLVM may use anywhere.
    """
    builder = llvm.JITLibraryBuilder().add_object_img(object_code)
    for name, address in {**_memory_functions(), **(symbols or {})}.items():
        builder.import_symbol(name, address)
    for name in exports:
        builder.export_symbol(name)
    # One engine for each kernel: it costs half a millisecond and shares nothing.
    engine = llvm.create_lljit_compiler(suppress_errors=True)
    try:
        tracker = builder.link(engine, "kernel")
    except RuntimeError as error:
        known = ", ".join(exports)
        bug(f"compiled code does not link (wanted {known}): {error}")
    addresses = {name: int(tracker[name]) for name in exports}
    return NativeKernel(addresses, (tracker, engine, *owners))


def _memory_functions() -> dict[str, int]:
    copy = ctypes.cast(ctypes.memmove, ctypes.c_void_p).value or 0
    fill = ctypes.cast(ctypes.memset, ctypes.c_void_p).value or 0
    return {"memcpy": copy, "memmove": copy, "memset": fill}


def _target_machine(target: Target) -> Any:
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu,
        features=target.features,
        opt=3,
        # Position-independent code with the small model is right in a shared library
        # and in LLJIT, which keeps the sections of one object together.
        reloc="pic",
        codemodel="small",
    )


def _optimised(ir_text: str, target: Target, machine: Any) -> Any:
    try:
        module = llvm.parse_assembly(ir_text, llvm.create_context())
        module.verify()
    except RuntimeError as error:
        bug(f"the emitted LLVM IR is wrong: {error}")
    module.triple = target.triple
    module.data_layout = str(machine.target_data)
    tuning = llvm.create_pipeline_tuning_options(speed_level=2)
    # The emitter vectorises and unrolls; the compiler's attempts only cost time.
    tuning.loop_vectorization = False
    tuning.slp_vectorization = False
    tuning.loop_unrolling = False
    tuning.loop_interleaving = False
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
    return module
