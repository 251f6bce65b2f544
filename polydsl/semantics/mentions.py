"""Where the names of a kernel stand, and which statements define sizes."""

from __future__ import annotations

from collections.abc import Iterator

from polydsl.syntax import ast


def written(kernel: ast.Kernel) -> Iterator[tuple[ast.Name, ast.Statement]]:
    """Yield the names that statements define or declare, with the statement."""
    for statement in kernel.body:
        match statement:
            case ast.Assign(ast.Name() as target):
                yield target, statement
            case ast.Assign(ast.Access(tensor, _, _, tensor_span)):
                yield ast.Name(tensor, tensor_span), statement
            case ast.MultiAssign(targets):
                for target in targets:
                    yield target, statement
            case ast.Declare(name):
                yield name, statement
            case _:
                pass


def values(kernel: ast.Kernel) -> Iterator[ast.Expr]:
    """Yield the right sides of a kernel, and the left sides that have subscripts."""
    for statement in kernel.body:
        if isinstance(statement, ast.Assign):
            yield statement.value
            if isinstance(statement.target, ast.Access):
                yield statement.target
        elif isinstance(statement, ast.MultiAssign):
            yield statement.value


def left_names(kernel: ast.Kernel) -> dict[str, ast.Name]:
    """Return the bare names among left-hand subscripts."""
    found: dict[str, ast.Name] = {}
    for statement in kernel.body:
        match statement:
            case ast.Assign(ast.Access(_, subscripts)):
                for subscript in subscripts:
                    if isinstance(subscript, ast.Name):
                        found.setdefault(subscript.name, subscript)
            case _:
                pass
    return found


def declared_indices(kernel: ast.Kernel) -> Iterator[ast.Name]:
    """Yield the names in ranges, under reductions and alone on the left."""
    for statement in kernel.body:
        if isinstance(statement, ast.InRange):
            yield statement.index
    for expr in values(kernel):
        for node in ast.walk(expr):
            if isinstance(node, ast.Reduce):
                yield from node.indices
    yield from left_names(kernel).values()


def index_names(kernel: ast.Kernel) -> Iterator[ast.Name]:
    """Yield names where they stand as an index does: some may be sizes after all."""
    yield from declared_indices(kernel)
    for expr in values(kernel):
        for node in ast.walk(expr):
            if isinstance(node, ast.Access):
                for subscript in ast.children(node):
                    yield from _names_outside_accesses(subscript)


def _names_outside_accesses(expr: ast.Expr) -> Iterator[ast.Name]:
    if isinstance(expr, ast.Name):
        yield expr
    elif not isinstance(expr, ast.Access):
        for child in ast.children(expr):
            yield from _names_outside_accesses(child)


_SIZE_OPERATORS = frozenset(("+", "-", "*", "//", "%"))


def _is_size_expression(expr: ast.Expr) -> bool:
    """Whether an expression is made as a size expression is, whatever its names."""
    match expr:
        case ast.Number(value):
            return isinstance(value, int) and not isinstance(value, bool)
        case ast.Name():
            return True
        case ast.Unary(op, operand):
            return op in _SIZE_OPERATORS and _is_size_expression(operand)
        case ast.Binary(op, left, right):
            parts = (left, right)
            return op in _SIZE_OPERATORS and all(map(_is_size_expression, parts))
        case ast.Call("min" | "max", arguments):
            values = (argument.value for argument in arguments)
            return all(map(_is_size_expression, values))
        case _:
            return False


def size_definitions(kernel: ast.Kernel) -> dict[str, ast.Assign]:
    """Find the statements `P = e` whose `e` holds only sizes, constants and integers.

    A name that is a tensor or an index makes the statement one about a scalar tensor;
    so does a second statement for the same name, or a declaration of it.
    """
    counts: dict[str, int] = {}
    candidates: dict[str, ast.Assign] = {}
    for target, statement in written(kernel):
        counts[target.name] = counts.get(target.name, 0) + 1
        if (
            isinstance(statement, ast.Assign)
            and isinstance(statement.target, ast.Name)
            and statement.op == "="
            and _is_size_expression(statement.value)
        ):
            candidates[target.name] = statement
    others = {parameter.name.name for parameter in kernel.parameters}
    others |= {name.name for name in declared_indices(kernel)} - set(candidates)
    others |= set(counts) - set(candidates)
    others |= {name for name, count in counts.items() if count > 1}
    return _settle(candidates, others)


def _settle(
    candidates: dict[str, ast.Assign], others: set[str]
) -> dict[str, ast.Assign]:
    """Drop candidates that mention a tensor or an index, until none is left."""
    while True:
        kept = {
            name: statement
            for name, statement in candidates.items()
            if name not in others
            and not any(
                isinstance(node, ast.Name) and node.name in others
                for node in ast.walk(statement.value)
            )
        }
        if len(kept) == len(candidates):
            return kept
        others = others | (set(candidates) - set(kept))
        candidates = kept
