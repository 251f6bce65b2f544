"""From a request to native code: through the stages, or from the object cache."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import astuple, dataclass, replace

from polydsl.backend.arrays import ArrayLayout
from polydsl.backend.cache_key import object_key
from polydsl.backend.emitter.layout import scratch_layout
from polydsl.backend.jit import compile_object
from polydsl.backend.providers.table import Linked, foreign_symbols
from polydsl.base.checks import SubscriptCheck
from polydsl.base.diagnostics import ArgumentError, bug
from polydsl.base.dtypes import DTYPES
from polydsl.base.providers import provider_named
from polydsl.driver.request import Request
from polydsl.driver.stages import Compilation, Listener, Stage, compile_until
from polydsl.driver.toolchain import Toolchain
from polydsl.loops.nest import Loop, LoopNest, walk
from polydsl.poly.scop import Scop


@dataclass(frozen=True, slots=True)
class Interface:
    """How native code is called: enough to run it without compiling it again.

    `buffers` are the arguments in calling order, `results` the names of what the
    kernel returns (one may be a parameter). `prepared` are sizes in bytes.
    `points` counts the statement instances of one run, `foreign` are the symbols of
    library kernels that it calls. `checks` are those that a positive status tells of.
    """

    buffers: tuple[tuple[str, ArrayLayout], ...]
    results: tuple[str, ...]
    prepared: tuple[int, ...]
    shared_bytes: int
    thread_bytes: int
    is_parallel: bool
    points: int
    summary: tuple[str, ...]
    foreign: tuple[str, ...]
    checks: tuple[SubscriptCheck, ...]


@dataclass(frozen=True, slots=True)
class Compiled:
    """Object code with its interface, and how it came about.

    `request` is what was compiled: where a library's kernel is not to be had, not what
    was asked for. `linked` are the library kernels that the code calls.
    """

    request: Request
    object_code: bytes
    interface: Interface
    linked: Linked
    seconds: float
    from_cache: bool


def compile_request(request: Request, tools: Toolchain) -> Compiled:
    """Return the native code of a request, from the cache where it is there.

    Raises `ArgumentError` where it asks for a microkernel provider that is not there.
    """
    start = time.perf_counter()
    _check_provider(request.preference.microkernel, tools)
    object_code, interface, from_cache = _object_code(request, tools)
    linked = tools.libraries.link(interface.foreign)
    if linked is None:
        # The library went, or makes no kernel of this kind: polydsl makes them all.
        own = replace(request, preference=request.preference.without_libraries())
        return compile_request(own, tools)
    seconds = time.perf_counter() - start
    return Compiled(request, object_code, interface, linked, seconds, from_cache)


def _check_provider(name: str, tools: Toolchain) -> None:
    if name and not tools.libraries.has(name):
        remedy = provider_named(name).remedy
        raise ArgumentError(
            f"microkernel={name!r} needs a library that was not found; {remedy}"
        )


def _object_code(request: Request, tools: Toolchain) -> tuple[bytes, Interface, bool]:
    """Return object code, its interface, and whether they come from the cache."""
    identity = f"{tools.machine.identity()}\n{request.identity()}"
    key = object_key(tools.target, identity)
    entry = tools.cache.get(key)
    if entry is not None and not tools.options.dump:
        interface = _read(entry.payload)
        if interface is not None:
            return entry.object_code, interface, True
    state = compile_until(begin(request, tools), "asm", dumper(tools))
    if state.llvm is None or state.nest is None or state.scop is None:
        bug("the stages ended early")
    object_code = compile_object(state.llvm, tools.target)
    interface = _interface(state, state.nest, state.scop)
    tools.cache.put(key, object_code, _write(interface))
    return object_code, interface, False


def begin(request: Request, tools: Toolchain) -> Compilation:
    """Return the compilation of a request before its first stage."""
    return Compilation(request, tools.machine, tools.target)


def dumper(tools: Toolchain) -> Listener:
    """Return a listener that prints the stages that POLYDSL_DUMP names."""

    def listen(stage: Stage, state: Compilation) -> None:
        if stage.name in tools.options.dump:
            print(f"# {stage.name}\n{stage.render(state)}", file=sys.stderr)

    return listen


def _interface(state: Compilation, nest: LoopNest, scop: Scop) -> Interface:
    buffers = tuple((name, _layout(nest, name)) for name in nest.arguments)
    prepared = tuple(
        b.span_elements * b.dtype.bytes for b in nest.buffers if b.memory == "prepared"
    )
    scratch = scratch_layout(nest)
    nodes = walk((*nest.prepare, *nest.body))
    summary = state.schedule.decisions if state.schedule else ()
    return Interface(
        buffers,
        scop.results,
        prepared,
        scratch.shared_bytes,
        scratch.thread_bytes,
        any(isinstance(n, Loop) and n.kind == "parallel" for n in nodes),
        sum(s.points for s in scop.statements),
        tuple(f"{d.subject}: {d.chosen}" for d in summary),
        foreign_symbols(nest),
        tuple(check.subject for check in scop.checks),
    )


def _layout(nest: LoopNest, name: str) -> ArrayLayout:
    buffer = nest.buffer(name)
    return ArrayLayout(buffer.dtype, buffer.shape, buffer.strides)


def _write(interface: Interface) -> bytes:
    buffers = [
        [name, a.dtype.name, list(a.shape), list(a.strides)]
        for name, a in interface.buffers
    ]
    content = {
        "buffers": buffers,
        "results": list(interface.results),
        "prepared": list(interface.prepared),
        "shared": interface.shared_bytes,
        "thread": interface.thread_bytes,
        "parallel": interface.is_parallel,
        "points": interface.points,
        "summary": list(interface.summary),
        "foreign": list(interface.foreign),
        "checks": [astuple(check) for check in interface.checks],
    }
    return json.dumps(content).encode()


def _check(
    tensor: str,
    dimension: int,
    extent: int,
    indices: list[str],
    starts: list[int],
    lengths: list[int],
    shown: list[str],
    early: bool,
) -> SubscriptCheck:
    """Return a check from its fields as JSON has them."""
    sides = tuple(indices), tuple(starts), tuple(lengths)
    return SubscriptCheck(tensor, dimension, extent, *sides, tuple(shown), early)


def _read(payload: bytes) -> Interface | None:
    """Return the interface that was stored, None where it makes no sense."""
    try:
        content = json.loads(payload)
        buffers = tuple(
            (name, ArrayLayout(DTYPES[dtype], tuple(shape), tuple(strides)))
            for name, dtype, shape, strides in content["buffers"]
        )
        return Interface(
            buffers,
            tuple(content["results"]),
            tuple(content["prepared"]),
            content["shared"],
            content["thread"],
            content["parallel"],
            content["points"],
            tuple(content["summary"]),
            tuple(content["foreign"]),
            tuple(_check(*fields) for fields in content["checks"]),
        )
    except (ValueError, KeyError, TypeError):
        return None
