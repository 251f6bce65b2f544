"""The invariants of a `Program` that later stages lean on."""

from __future__ import annotations

from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import BOOL, I64, DType, widen
from polydsl.base.functions import FUNCTIONS
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Definition,
    Expr,
    Index,
    Literal,
    Pad,
    Program,
    Reduce,
    Select,
    Size,
    walk,
)
from polydsl.semantics.prune import expressions, indices_of


def verify_program(program: Program) -> None:
    """Raise `CompilerBug` where an invariant of typed programs does not hold."""
    _verify_names(program)
    for definition in program.definitions:
        for expr in expressions(definition):
            for node in walk(expr):
                _verify_node(node, program)
        _verify_definition(definition, program)


def _verify_names(program: Program) -> None:
    tensors = [tensor.name for tensor in program.tensors]
    indices = [bound.name for bound in program.ranges]
    sizes = [name for name, _ in program.binding]
    names = [*tensors, *indices, *sizes]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        bug(f"names of {program.name} are two things: {sorted(twice)}")
    if not {*program.parameters, *program.results} <= set(tensors):
        bug(f"{program.name} has parameters or results that are no tensors")
    if set(program.results) & set(program.parameters):
        bug(f"a result of {program.name} is a parameter")
    if len(set(program.results)) < len(program.results):
        bug(f"two results of {program.name} are one tensor")
    for definition in program.definitions:
        for expr in expressions(definition):
            unknown = set(indices_of(expr)) - set(indices)
            if unknown:
                bug(f"{program.name} has indices without a range: {sorted(unknown)}")


def _verify_definition(definition: Definition, program: Program) -> None:
    tensor = program.tensor(definition.tensor)
    if tensor.is_parameter:
        bug(f"the parameter {tensor.name} is written")
    if len(definition.subscripts) != tensor.rank:
        bug(f"{tensor.name} is written with {len(definition.subscripts)} subscripts")
    dtype = definition.value.dtype
    if definition.op == "=" and dtype != tensor.dtype:
        bug(f"{dtype} is stored in {tensor.name}, which is {tensor.dtype}")
    if definition.op != "=" and dtype != widen(dtype):
        bug(f"{tensor.name} accumulates in {dtype}")
    if definition.op == "=" and (definition.reduced or definition.is_scatter):
        bug(f"{tensor.name} is defined by = and reduces or scatters")


def _verify_node(expr: Expr, program: Program) -> None:
    match expr:
        case Access(tensor, subscripts, dtype):
            found = program.tensor(tensor)
            if (found.dtype, found.rank) != (dtype, len(subscripts)):
                bug(f"{tensor} is read as {dtype} with {len(subscripts)} subscripts")
            if any(subscript.dtype != I64 for subscript in subscripts):
                bug(f"a subscript of {tensor} is not i64")
        case Pad(_, value, dtype):
            _expect(value, dtype)
        case Select(condition, then, otherwise, dtype):
            _expect(condition, BOOL)
            _expect(then, dtype)
            _expect(otherwise, dtype)
        case Call(function, arguments, dtype):
            _verify_call(function, arguments, dtype)
        case Reduce(op, _, body, dtype):
            if op not in ("argmax", "argmin"):
                _expect(body, dtype)
        case Size(name):
            if name not in dict(program.binding):
                bug(f"the size {name} is not bound")
        case Literal() | Index() | Cast():
            pass


def _verify_call(function: str, arguments: tuple[Expr, ...], dtype: DType) -> None:
    row = FUNCTIONS[function]
    if len(arguments) != row.arity:
        bug(f"{function} has {len(arguments)} operands")
    if len({argument.dtype for argument in arguments}) > 1:
        bug(f"the operands of {function} have different dtypes")
    operand = arguments[0].dtype
    match row.rule:
        case "arithmetic" | "float" | "keep":
            wanted = operand
        case "compare" | "logical" | "test":
            wanted = BOOL
    if dtype != wanted:
        bug(f"{function} of {operand} gives {dtype}")


def _expect(expr: Expr, dtype: DType) -> None:
    if expr.dtype != dtype:
        bug(f"{expr.dtype} stands where {dtype} is needed")
