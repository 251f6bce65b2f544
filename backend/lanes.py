"""Arithmetic that emits instructions: values of one lane or many, with operators.

The formulas of the scalar functions are written with these classes as they would be
with numbers: `Real` for floats, `Whole` for integers, `Truth` for conditions. Python
numbers become constants of the type they meet. Operations are plain IEEE ones, without
fast-math flags, so error-free transformations keep their meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llvmlite import ir

from polydsl.backend.llvm_types import (
    constant,
    element_of,
    intrinsic,
    lanes_of,
    like,
    suffix,
)

Rounding = Literal["floor", "ceil", "trunc", "roundeven"]


@dataclass(frozen=True, slots=True)
class Context:
    """Where instructions go, and whether the ISA has a fused multiply-add."""

    builder: ir.IRBuilder
    has_fma: bool


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """A condition in each lane."""

    context: Context
    value: ir.Value

    def __and__(self, other: Truth) -> Truth:
        return Truth(self.context, self.context.builder.and_(self.value, other.value))

    def __or__(self, other: Truth) -> Truth:
        return Truth(self.context, self.context.builder.or_(self.value, other.value))

    def __xor__(self, other: Truth) -> Truth:
        return Truth(self.context, self.context.builder.xor(self.value, other.value))

    def __invert__(self) -> Truth:
        return Truth(self.context, self.context.builder.not_(self.value))


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """An integer in each lane; operations wrap, comparisons are signed."""

    context: Context
    value: ir.Value

    @property
    def bits(self) -> int:
        """The width of one lane."""
        return int(element_of(self.value.type).width)

    def constant(self, number: int) -> Whole:
        """Return *number* in every lane."""
        return Whole(self.context, constant(self.value.type, number))

    def __add__(self, other: Whole | int) -> Whole:
        return self._binary("add", other)

    def __sub__(self, other: Whole | int) -> Whole:
        return self._binary("sub", other)

    def __mul__(self, other: Whole | int) -> Whole:
        return self._binary("mul", other)

    def __and__(self, other: Whole | int) -> Whole:
        return self._binary("and_", other)

    def __or__(self, other: Whole | int) -> Whole:
        return self._binary("or_", other)

    def __xor__(self, other: Whole | int) -> Whole:
        return self._binary("xor", other)

    def __lshift__(self, other: Whole | int) -> Whole:
        return self._binary("shl", other)

    def __rshift__(self, other: Whole | int) -> Whole:
        """Return the arithmetic right shift, which rounds down."""
        return self._binary("ashr", other)

    def logical_shift_right(self, other: Whole | int) -> Whole:
        """Return the right shift that fills with zeros."""
        return self._binary("lshr", other)

    def __neg__(self) -> Whole:
        return self.constant(0) - self

    def __lt__(self, other: Whole | int) -> Truth:
        return self._compare("<", other)

    def __le__(self, other: Whole | int) -> Truth:
        return self._compare("<=", other)

    def __gt__(self, other: Whole | int) -> Truth:
        return self._compare(">", other)

    def __ge__(self, other: Whole | int) -> Truth:
        return self._compare(">=", other)

    def equals(self, other: Whole | int) -> Truth:
        """Return where both are equal."""
        return self._compare("==", other)

    def differs(self, other: Whole | int) -> Truth:
        """Return where both are different."""
        return self._compare("!=", other)

    def as_real(self) -> Real:
        """Return the float with these bits."""
        element = ir.FloatType() if self.bits == 32 else ir.DoubleType()
        return Real(self.context, self._to("bitcast", element))

    def to_real(self, element: ir.Type) -> Real:
        """Return the nearest float of type *element*."""
        return Real(self.context, self._to("sitofp", element))

    def resized(self, bits: int) -> Whole:
        """Return the number in *bits* bits: sign-extended or wrapped."""
        if bits == self.bits:
            return self
        kind = "sext" if bits > self.bits else "trunc"
        return Whole(self.context, self._to(kind, ir.IntType(bits)))

    def _to(self, kind: str, element: ir.Type) -> ir.Value:
        builder = self.context.builder
        return getattr(builder, kind)(self.value, like(self.value.type, element))

    def _binary(self, kind: str, other: Whole | int) -> Whole:
        right = other if isinstance(other, Whole) else self.constant(other)
        emit = getattr(self.context.builder, kind)
        return Whole(self.context, emit(self.value, right.value))

    def _compare(self, relation: str, other: Whole | int) -> Truth:
        right = other if isinstance(other, Whole) else self.constant(other)
        builder = self.context.builder
        return Truth(
            self.context, builder.icmp_signed(relation, self.value, right.value)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Real:
    """A float in each lane."""

    context: Context
    value: ir.Value

    @property
    def bits(self) -> int:
        """The width of one lane: 32 or 64."""
        return 64 if isinstance(element_of(self.value.type), ir.DoubleType) else 32

    @property
    def lanes(self) -> int:
        """The number of lanes."""
        return lanes_of(self.value.type)

    def constant(self, number: float) -> Real:
        """Return *number* in every lane."""
        return Real(self.context, constant(self.value.type, number))

    def __add__(self, other: Real | float) -> Real:
        return self._binary("fadd", other)

    def __sub__(self, other: Real | float) -> Real:
        return self._binary("fsub", other)

    def __mul__(self, other: Real | float) -> Real:
        return self._binary("fmul", other)

    def __truediv__(self, other: Real | float) -> Real:
        return self._binary("fdiv", other)

    def __radd__(self, other: float) -> Real:
        return self.constant(other) + self

    def __rsub__(self, other: float) -> Real:
        return self.constant(other) - self

    def __rmul__(self, other: float) -> Real:
        return self.constant(other) * self

    def __rtruediv__(self, other: float) -> Real:
        return self.constant(other) / self

    def __neg__(self) -> Real:
        return Real(self.context, self.context.builder.fneg(self.value))

    # Comparisons are ordered: false where either side is NaN.

    def __lt__(self, other: Real | float) -> Truth:
        return self._compare("<", other)

    def __le__(self, other: Real | float) -> Truth:
        return self._compare("<=", other)

    def __gt__(self, other: Real | float) -> Truth:
        return self._compare(">", other)

    def __ge__(self, other: Real | float) -> Truth:
        return self._compare(">=", other)

    def equals(self, other: Real | float) -> Truth:
        """Return where both are equal; NaN equals nothing."""
        return self._compare("==", other)

    def differs(self, other: Real | float) -> Truth:
        """Return where both are not equal; NaN differs from everything."""
        right = self._operand(other)
        builder = self.context.builder
        return Truth(
            self.context, builder.fcmp_unordered("!=", self.value, right.value)
        )

    def is_nan(self) -> Truth:
        """Return where the value is NaN."""
        builder = self.context.builder
        return Truth(
            self.context, builder.fcmp_unordered("uno", self.value, self.value)
        )

    def fma(self, factor: Real | float, term: Real | float) -> Real:
        """Return `self * factor + term`, rounded once where the ISA can, else twice."""
        if not self.context.has_fma:
            return self * factor + term
        operands = (self.value, self._operand(factor).value, self._operand(term).value)
        return self._call("fma", *operands)

    def abs(self) -> Real:
        """Return the absolute value."""
        return self._call("fabs", self.value)

    def sqrt(self) -> Real:
        """Return the square root, correctly rounded."""
        return self._call("sqrt", self.value)

    def rounded_by(self, way: Rounding) -> Real:
        """Return an integer by the intrinsic of that name; not on every ISA inline."""
        return self._call(way, self.value)

    def with_sign_of(self, other: Real) -> Real:
        """Return the magnitude of this with the sign bit of *other*."""
        return self._call("copysign", self.value, other.value)

    def as_whole(self) -> Whole:
        """Return the bits as an integer."""
        builder = self.context.builder
        target = like(self.value.type, ir.IntType(self.bits))
        return Whole(self.context, builder.bitcast(self.value, target))

    def to_whole(self, bits: int) -> Whole:
        """Return the value truncated to an integer; it must fit."""
        builder = self.context.builder
        target = like(self.value.type, ir.IntType(bits))
        return Whole(self.context, builder.fptosi(self.value, target))

    def widened(self) -> Real:
        """Return an f32 as f64."""
        target = like(self.value.type, ir.DoubleType())
        return Real(self.context, self.context.builder.fpext(self.value, target))

    def narrowed(self) -> Real:
        """Return an f64 rounded to f32."""
        target = like(self.value.type, ir.FloatType())
        return Real(self.context, self.context.builder.fptrunc(self.value, target))

    def _operand(self, other: Real | float) -> Real:
        return other if isinstance(other, Real) else self.constant(other)

    def _binary(self, kind: str, other: Real | float) -> Real:
        emit = getattr(self.context.builder, kind)
        return Real(self.context, emit(self.value, self._operand(other).value))

    def _compare(self, relation: str, other: Real | float) -> Truth:
        right = self._operand(other)
        builder = self.context.builder
        return Truth(
            self.context, builder.fcmp_ordered(relation, self.value, right.value)
        )

    def _call(self, name: str, *operands: ir.Value) -> Real:
        type_ = self.value.type
        full = f"llvm.{name}.{suffix(type_)}"
        return Real(
            self.context, intrinsic(self.context.builder, full, type_, operands)
        )


def choose(condition: Truth, then: Real | float, otherwise: Real | float) -> Real:
    """Return *then* where the condition holds, else *otherwise*, lane by lane."""
    sample = then if isinstance(then, Real) else otherwise
    assert isinstance(sample, Real)
    left = then if isinstance(then, Real) else sample.constant(then)
    right = otherwise if isinstance(otherwise, Real) else sample.constant(otherwise)
    builder = condition.context.builder
    chosen = builder.select(condition.value, left.value, right.value)
    return Real(condition.context, chosen)


def choose_whole(condition: Truth, then: Whole | int, otherwise: Whole) -> Whole:
    """Return *then* where the condition holds, else *otherwise*, lane by lane."""
    left = then if isinstance(then, Whole) else otherwise.constant(then)
    builder = condition.context.builder
    chosen = builder.select(condition.value, left.value, otherwise.value)
    return Whole(condition.context, chosen)
