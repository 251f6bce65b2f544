"""Kernels from `.pdl` files and texts, with their imports resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path

from polydsl.base.diagnostics import Diagnostic, PolydslError, ProgramError
from polydsl.base.source import Source
from polydsl.driver.kernel import Kernel
from polydsl.semantics.check import check_module
from polydsl.semantics.library import Imported, Library
from polydsl.semantics.scope import suggest
from polydsl.syntax import ast
from polydsl.syntax.parser import parse


class KernelModule:
    """The kernels of one file, as attributes."""

    def __init__(self, name: str, docstring: str | None, library: Library) -> None:
        self.__name__ = name
        self.__doc__ = docstring
        self._library = library
        self._kernels = {n: Kernel(library, n) for n in library.kernels}

    def __getattr__(self, name: str) -> Kernel:
        kernels: Mapping[str, Kernel] = self.__dict__.get("_kernels", {})
        if name in kernels:
            return kernels[name]
        hint = suggest(name, kernels)
        more = f"; {hint}" if hint else ""
        raise AttributeError(f"{self.__name__} has no kernel {name}{more}")

    def __dir__(self) -> list[str]:
        return sorted(self._kernels)

    def __iter__(self) -> Iterator[Kernel]:
        return iter(self._kernels.values())

    def __repr__(self) -> str:
        return f"<polydsl kernels of {self.__name__}: {', '.join(self._kernels)}>"

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What the check of the file found that is no error."""
        return self._library.warnings


class LoadError(PolydslError):
    """A file of kernels cannot be read."""


def load(path: str | Path) -> KernelModule:
    """Return the kernels of a `.pdl` file. Raises `ProgramError` and `LoadError`."""
    file = Path(path)
    source = Source(str(path), _read(file))
    module, library = _library(source, file, (file.resolve(),))
    return KernelModule(file.stem, module.docstring, library)


def loads(text: str, name: str = "<string>") -> KernelModule:
    """Return the kernels of a text in the `.pdl` language."""
    module, library = _library(Source(name, text), None, ())
    return KernelModule(name, module.docstring, library)


def load_standard(name: str) -> KernelModule:
    """Return a module of the standard library, such as `activation`."""
    file = standard_file(name)
    if file is None:
        known = standard_names()
        hint = suggest(name, known) or f"it has {', '.join(known)}"
        raise LoadError(f"the standard library has no module {name}; {hint}")
    source = Source(f"stdlib/{name}.pdl", _read(file))
    module, library = _library(source, file, (file.resolve(),))
    return KernelModule(f"stdlib.{name}", module.docstring, library)


def standard_names() -> tuple[str, ...]:
    """Return the names of the modules of the standard library."""
    folder = Path(str(files("polydsl.stdlib")))
    return tuple(sorted(path.stem for path in folder.glob("*.pdl")))


def standard_file(name: str) -> Path | None:
    """Return the file of a module of the standard library."""
    path = Path(str(files("polydsl.stdlib"))) / f"{name}.pdl"
    return path if name.isidentifier() and path.is_file() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LoadError(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(f"{path} cannot be read: {error}") from None


def _library(
    source: Source, file: Path | None, loading: tuple[Path, ...]
) -> tuple[ast.Module, Library]:
    module = parse(source)
    imports: dict[str, Imported] = {}
    findings: list[Diagnostic] = []
    for statement in module.imports:
        target = _import_target(statement, file)
        if isinstance(target, Diagnostic):
            findings.append(target)
        elif target.resolve() in loading:
            findings.append(_cycle(statement, target, loading))
        else:
            found = _imported(statement, target, loading)
            imports.update(found[0])
            findings += found[1]
    if findings:
        raise ProgramError(tuple(findings))
    return module, check_module(module, imports)


def _import_target(statement: ast.Import, file: Path | None) -> Path | Diagnostic:
    if statement.level == 0:
        return _standard_target(statement)
    if file is None:
        return Diagnostic(
            "E0421",
            "a text without a file has nothing beside it to import from",
            statement.span,
            "a relative import",
            "put the text into a .pdl file and use polydsl.load",
        )
    folder = file.resolve().parent
    for _ in range(statement.level - 1):
        folder = folder.parent
    path = folder.joinpath(*statement.module).with_suffix(".pdl")
    if path.is_file():
        return path
    return Diagnostic(
        "E0422",
        f"there is no file {path.name} to import from",
        statement.span,
        f"looked in {folder}",
        "the name after the dots is that of a .pdl file in that folder",
    )


def _standard_target(statement: ast.Import) -> Path | Diagnostic:
    if len(statement.module) == 2 and statement.module[0] == "stdlib":
        path = standard_file(statement.module[1])
        if path is not None:
            return path
    name = ".".join(statement.module)
    return Diagnostic(
        "E0423",
        f"there is no module {name}",
        statement.span,
        "not in the standard library",
        f"stdlib has {', '.join(standard_names())}; "
        "the file beside this one is written .name",
    )


def _cycle(
    statement: ast.Import, target: Path, loading: tuple[Path, ...]
) -> Diagnostic:
    path = [p.stem for p in loading[loading.index(target.resolve()) :]]
    circle = " -> ".join((*path, target.stem))
    return Diagnostic(
        "E0424",
        f"files import each other: {circle}",
        statement.span,
        "this closes the circle",
        "move what both need into a third file",
    )


def _imported(
    statement: ast.Import, target: Path, loading: tuple[Path, ...]
) -> tuple[dict[str, Imported], list[Diagnostic]]:
    source = Source(str(target), _read(target))
    _, library = _library(source, target, (*loading, target.resolve()))
    imports: dict[str, Imported] = {}
    findings: list[Diagnostic] = []
    for name in statement.names:
        if name.name in library.kernels:
            imports[name.name] = Imported(name.name, library)
            continue
        hint = suggest(name.name, library.kernels)
        findings.append(
            Diagnostic(
                "E0425",
                f"{target.name} has no kernel {name.name}",
                name.span,
                "not defined there",
                hint or f"it has {', '.join(library.kernels)}",
            )
        )
    return imports, findings
