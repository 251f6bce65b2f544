"""What a caller can get wrong about an address, found before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llvmlite import ir

from polydsl.backend.ahead.interface import Argument
from polydsl.backend.ahead.status import Status
from polydsl.backend.emitter.types import I32, I64, NULL


@dataclass(frozen=True, slots=True)
class Refusals:
    """Ends a function early with a status; `which` is where its subject is told."""

    builder: ir.IRBuilder
    which: ir.Value

    def refuse(
        self, is_wrong: ir.Value, status: Status, which: int | None = None
    ) -> None:
        """Return *status* where *is_wrong* holds, and go on otherwise."""
        builder = self.builder
        with builder.if_then(is_wrong, likely=False):
            if which is not None:
                builder.store(I64(which), self.which)
            builder.ret(I32(status))

    def is_bad(self, address: ir.Value, alignment: int) -> ir.Value:
        """Return whether an address is null or not aligned."""
        builder = self.builder
        is_null = builder.icmp_unsigned("==", address, NULL)
        return builder.or_(is_null, self._is_odd(address, alignment))

    def check_arguments(
        self, arguments: Sequence[Argument], given: Mapping[str, ir.Value]
    ) -> None:
        """Refuse null, misaligned and overlapping tensors, except empty ones."""
        tensors = [
            (which, argument)
            for which, argument in enumerate(arguments)
            if not argument.is_value and argument.elements
        ]
        for which, tensor in tensors:
            address = given[tensor.name]
            is_null = self.builder.icmp_unsigned("==", address, NULL)
            self.refuse(is_null, Status.NULL_POINTER, which)
            is_odd = self._is_odd(address, tensor.dtype.bytes)
            self.refuse(is_odd, Status.MISALIGNED, which)
        for which, tensor in tensors:
            others = [other for _, other in tensors if other is not tensor]
            for other in others if tensor.is_result else ():
                meets = self._meet(given, tensor, other)
                self.refuse(meets, Status.OVERLAP, which)

    def _is_odd(self, address: ir.Value, alignment: int) -> ir.Value:
        builder = self.builder
        number = builder.ptrtoint(address, I64)
        rest = builder.and_(number, I64(alignment - 1))
        return builder.icmp_unsigned("!=", rest, I64(0))

    def _meet(
        self, given: Mapping[str, ir.Value], left: Argument, right: Argument
    ) -> ir.Value:
        """Return whether two blocks of memory have a byte in common."""
        builder = self.builder
        first = builder.ptrtoint(given[left.name], I64)
        second = builder.ptrtoint(given[right.name], I64)
        # Differences wrap around: each is small only where one begins in the other.
        is_after = builder.icmp_unsigned(
            "<", builder.sub(first, second), I64(right.bytes)
        )
        is_before = builder.icmp_unsigned(
            "<", builder.sub(second, first), I64(left.bytes)
        )
        return builder.or_(is_after, is_before)
