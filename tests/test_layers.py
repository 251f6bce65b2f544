"""The architecture as rules: imports point down, doors are kept, files stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

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
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in NAMES}
TREES = {name: ast.parse(text) for name, text in TEXTS.items()}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def lines_of(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


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


def test_imports_point_down() -> None:
    above = []
    for name in NAMES:
        module = module_of(name)
        own = ORDER.index(layer_of(module))
        for imported in imports_of(TREES[name], module):
            is_ours = imported.split(".")[0] == "polydsl"
            if is_ours and ORDER.index(layer_of(imported)) > own:
                above.append(f"{name} imports {imported}")
    assert above == []


def test_a_layer_above_is_noticed() -> None:
    text = "from polydsl.driver.kernel import Kernel\nimport polydsl.base.source\n"
    imported = list(imports_of(ast.parse(text), "polydsl.base.x"))
    assert imported == ["polydsl.driver.kernel.Kernel", "polydsl.base.source"]
    assert [layer_of(module) for module in imported] == ["driver", "base"]


def test_imports_stand_at_the_top() -> None:
    inside = [
        f"{name}:{node.lineno}"
        for name in NAMES
        for function in ast.walk(TREES[name])
        if isinstance(function, Function)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert inside == []


def test_libraries_come_in_by_their_door() -> None:
    strangers = [
        f"{name} imports {imported}"
        for name in NAMES
        for imported in imports_of(TREES[name], name)
        if not name.startswith(DOORS.get(imported.split(".")[0], name))
    ]
    assert strangers == []


def test_files_stay_small() -> None:
    lengths = {name: len(TEXTS[name].splitlines()) for name in NAMES}
    assert {n: count for n, count in lengths.items() if count > LONGEST_FILE} == {}


def test_functions_stay_small() -> None:
    long = [
        f"{name}: {node.name} has {lines_of(node)} lines"
        for name in NAMES
        for node in ast.walk(TREES[name])
        if isinstance(node, Function) and lines_of(node) > LONGEST_FUNCTION
    ]
    assert long == []


def test_nothing_is_left_for_later() -> None:
    words = ("TODO", "FIXME", "XXX", "NotImplementedError")
    assert [(n, w) for n in NAMES for w in words if w in TEXTS[n]] == []
