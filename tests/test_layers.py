"""The architecture as rules: imports point down, doors are kept, files stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDER = (
    "base",
    "syntax",
    "semantics",
    "poly",
    "schedule",
    "loops",
    "backend",
    "driver",
    "stdlib",
    "polydsl",
)
SAME_LAYER = {"grammar": "syntax"}
MAPPED = ("backend", "grammar", "stdlib")

DOORS = {
    "lark": ("polydsl/syntax/parser.py",),
    "islpy": ("polydsl/poly/isl.py",),
    "llvmlite": ("backend/",),
    "click": ("polydsl/driver/cli",),
    "rich": ("polydsl/driver/cli", "polydsl/driver/demo.py"),
    "PIL": ("polydsl/driver/demo.py",),
    "ctypes": ("backend/",),
}
"""Which files may import a library; all of a folder where the name ends in `/`."""

LONGEST_FILE = 400
LONGEST_FUNCTION = 70

FILES = tuple(
    sorted(
        path
        for folder in ("polydsl", *MAPPED)
        for path in (ROOT / folder).rglob("*.py")
    )
)
NAMES = tuple(path.relative_to(ROOT).as_posix() for path in FILES)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_of(name: str) -> str:
    """`backend/isa.py` is imported as `polydsl.backend.isa`."""
    parts = name.removesuffix(".py").removesuffix("/__init__").split("/")
    return ".".join(parts if parts[0] == "polydsl" else ("polydsl", *parts))


def layer_of(module: str) -> str:
    parts = module.split(".")
    layer = (
        parts[1] if len(parts) > 1 and parts[1] in {*ORDER, *SAME_LAYER} else parts[0]
    )
    return SAME_LAYER.get(layer, layer)


def imports_of(tree: ast.Module, module: str) -> Iterator[str]:
    """Yield every module that is imported, with what is taken out of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_files_are_those_of_every_layer() -> None:
    found = {layer_of(module_of(name)) for name in NAMES}
    assert found == set(ORDER)


@pytest.mark.parametrize("name", NAMES)
def test_imports_point_down(name: str) -> None:
    module = module_of(name)
    own = ORDER.index(layer_of(module))
    for imported in imports_of(tree_of(ROOT / name), module):
        if imported.split(".")[0] == "polydsl":
            assert ORDER.index(layer_of(imported)) <= own, f"{name}: {imported}"


def test_a_layer_above_is_noticed() -> None:
    text = "from polydsl.driver.kernel import Kernel\nimport polydsl.base.source\n"
    imported = list(imports_of(ast.parse(text), "polydsl.base.x"))
    assert imported == ["polydsl.driver.kernel.Kernel", "polydsl.base.source"]
    assert [layer_of(module) for module in imported] == ["driver", "base"]


@pytest.mark.parametrize("name", NAMES)
def test_imports_stand_at_the_top(name: str) -> None:
    inside = [
        node.lineno
        for function in ast.walk(tree_of(ROOT / name))
        if isinstance(function, Function)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not inside, f"{name} imports inside a function in lines {inside}"


@pytest.mark.parametrize("name", NAMES)
def test_libraries_come_in_by_their_door(name: str) -> None:
    for imported in imports_of(tree_of(ROOT / name), module_of(name)):
        doors = DOORS.get(imported.split(".")[0])
        assert doors is None or name.startswith(doors), f"{name} imports {imported}"


@pytest.mark.parametrize("name", NAMES)
def test_files_and_functions_stay_small(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, Function):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{name}: {node.name} has {length} lines"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_for_later(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for word in ("TODO", "FIXME", "XXX", "NotImplementedError"):
        assert word not in text, f"{name}: {word}"
