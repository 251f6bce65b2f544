"""The buffers of a nest: those that the scop and the schedule ask for, and no others'
elements in them.

An element has an address of its own, wherever it is written; a result is as large as
the caller's; what is kept between calls is written once; memory of one thread holds
nothing that another one needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from polydsl.base.diagnostics import bug
from polydsl.loops.nest import Buffer, LoopNest, Memory, contiguous
from polydsl.loops.verify_points import Leaf
from polydsl.loops.verify_scopes import reads, touched, writes
from polydsl.poly.scop import Scop, TensorInfo
from polydsl.schedule.matrix_plan import Copy
from polydsl.schedule.once import computed_once


def check_buffers(scop: Scop, copies: Mapping[str, Copy], nest: LoopNest) -> None:
    """Raise unless tensors and copies have buffers of their types, shapes and kinds."""
    buffers = {b.name: b for b in nest.buffers}
    if len(buffers) < len(nest.buffers):
        bug(f"{nest.name}: two buffers have one name")
    once = computed_once(scop)
    for tensor in scop.tensors:
        if tensor.name in buffers:
            kinds = _kinds(tensor, is_once=tensor.name in once)
            _check_tensor(tensor, buffers[tensor.name], kinds)
        elif tensor.role != "local":
            bug(f"{tensor.name} has no buffer")
    for copy in copies.values():
        if copy.tensor not in buffers:
            bug(f"{copy.tensor} has no buffer")
        _check_copy(copy, buffers[copy.tensor])
    results = [r for r in scop.results if r not in scop.parameters]
    if nest.arguments != (*scop.parameters, *results):
        bug(f"{nest.name}: its arguments are {', '.join(nest.arguments)}")


def _kinds(tensor: TensorInfo, *, is_once: bool) -> tuple[Memory, ...]:
    """Return the kinds of memory a tensor may be in."""
    if tensor.role != "local":
        return ("argument",)
    return ("scratch", "prepared") if is_once else ("scratch",)


def _check_tensor(
    tensor: TensorInfo, buffer: Buffer, kinds: tuple[Memory, ...]
) -> None:
    if (buffer.dtype, buffer.shape) != (tensor.dtype, tensor.shape):
        bug(f"{buffer.name} is {buffer.dtype}{list(buffer.shape)} in memory")
    is_own = buffer.private and not is_contracted(buffer)
    if buffer.memory not in kinds or is_own:
        bug(f"{buffer.name} is in {buffer.memory} memory")
    if buffer.is_written != (tensor.role != "input"):
        bug(f"{buffer.name} is {'' if buffer.is_written else 'not '}to be written")
    if buffer.is_written:
        _check_distinct(buffer)


def _check_distinct(buffer: Buffer) -> None:
    """Raise unless every element has an address of its own: each stride is greater
    than the reach of all smaller ones."""
    reach = 0
    moving = [(abs(s), n) for s, n in zip(buffer.strides, buffer.shape) if n > 1]
    if 0 in buffer.shape:
        return
    if is_contracted(buffer):
        # That one row is enough is proved by itself.
        moving = [(stride, n) for stride, n in moving if stride]
    for stride, extent in sorted(moving):
        if stride <= reach:
            bug(f"two elements of {buffer.name} are at one address: {buffer.strides}")
        reach += stride * (extent - 1)


def _check_copy(copy: Copy, buffer: Buffer) -> None:
    memory = "prepared" if copy.prepared else "scratch"
    if buffer.memory != memory or (buffer.private and not copy.local):
        bug(f"{copy.tensor} is in {buffer.memory} memory")
    if buffer.dtype != copy.dtype or buffer.strides != contiguous(buffer.shape):
        bug(f"{copy.tensor} is not dense, or of another type")
    if buffer.shape != copy.shape:
        bug(f"{copy.tensor} has the shape {buffer.shape} and needs {copy.shape}")


def is_contracted(buffer: Buffer) -> bool:
    """Whether several elements of a buffer have one place in memory."""
    return bool(contracted_axes(buffer))


def contracted_axes(buffer: Buffer) -> tuple[int, ...]:
    """Return the axes along which a scratch buffer has no memory."""
    if buffer.memory != "scratch":
        return ()
    axes = enumerate(zip(buffer.shape, buffer.strides))
    return tuple(axis for axis, (n, step) in axes if n > 1 and step == 0)


def check_memory(nest: LoopNest, bound: Set[str], leaves: Sequence[Leaf]) -> None:
    """Raise where `prepare` needs what is not known before the first call, or scratch
    memory is to last from `prepare` to a call."""
    buffers = {b.name: b for b in nest.buffers}
    written: set[str] = set()
    for leaf in leaves:
        is_call = leaf.path[0] == 1
        for name in touched(leaf):
            if name not in buffers:
                bug(f"no buffer {name} exists, {leaf.place({})}")
            buffer = buffers[name]
            if is_call and name in written and buffer.memory == "scratch":
                bug(f"{name} does not last until a call, {leaf.place({})}")
            if not is_call and reads(leaf, name) and not _is_known(buffer, bound):
                bug(f"{name} is not known before a call, {leaf.place({})}")
        if not is_call:
            written.update(name for name in touched(leaf) if writes(leaf, name))


def _is_known(buffer: Buffer, bound: Set[str]) -> bool:
    return buffer.memory != "argument" or buffer.name in bound
