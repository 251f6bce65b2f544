"""Files with those that they import from: each is read once, errors come together."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

from polydsl.base.diagnostics import Diagnostic, PolydslError, ProgramError
from polydsl.base.source import Source
from polydsl.semantics.check import check_module
from polydsl.semantics.library import Imported, Library
from polydsl.semantics.scope import suggest
from polydsl.syntax import ast
from polydsl.syntax.parser import parse

DEEPEST = 40
"""How many files may stand in a row, each importing from the next."""


class LoadError(PolydslError):
    """A file of kernels cannot be read."""


def read_file(path: Path) -> str:
    """Return the text of a file. Raises `LoadError`."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LoadError(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise LoadError(f"{path} cannot be read: {error}") from None


def check_source(source: Source, file: Path | None) -> tuple[ast.Module, Library]:
    """Return the syntax tree and the checked kernels of a text, with what it imports.

    *file* is where the text stands, None where it has no file. Raises `ProgramError`
    with the errors of all files, and `LoadError`.
    """
    module = parse(source)
    loader = _Loader()
    library = loader.check(module, file, () if file is None else (file.resolve(),))
    if library is None:
        raise ProgramError(tuple(dict.fromkeys(loader.findings)))
    return module, library


def standard_names() -> tuple[str, ...]:
    """Return the names of the modules of the standard library."""
    return tuple(sorted(path.stem for path in _standard_folder().glob("*.pdl")))


def standard_file(name: str) -> Path | None:
    """Return the file of a module of the standard library."""
    path = _standard_folder() / f"{name}.pdl"
    return path if name.isidentifier() and path.is_file() else None


@cache
def check_standard(file: Path) -> tuple[ast.Module, Library]:
    """Return what `check_source` finds in a file of the standard library.

    Like a Python module, it is read once in a process, whoever imports from it.
    """
    return check_source(Source(f"stdlib/{file.name}", read_file(file)), file)


@cache
def _standard_folder() -> Path:
    return Path(str(files("polydsl.stdlib"))).resolve()


@dataclass(slots=True)
class _Loader:
    """The files read so far; None stands for one with errors, which are in
    `findings`."""

    libraries: dict[Path, Library | None] = field(default_factory=dict)
    findings: list[Diagnostic] = field(default_factory=list)

    def check(
        self, module: ast.Module, file: Path | None, loading: tuple[Path, ...]
    ) -> Library | None:
        """Check a file after those that it imports from; *loading* ends with it."""
        imports: dict[str, Imported] = {}
        is_complete = True
        for statement in module.imports:
            target = _target(statement, file, loading)
            if isinstance(target, Diagnostic):
                self.findings.append(target)
                is_complete = False
                continue
            library = self._library(target, loading)
            found = _wanted(statement, target, library, imports)
            self.findings += found
            is_complete = is_complete and library is not None and not found
        if not is_complete:
            return None
        try:
            return check_module(module, imports)
        except ProgramError as error:
            self.findings += error.diagnostics
            return None

    def _library(self, file: Path, loading: tuple[Path, ...]) -> Library | None:
        path = file.resolve()
        if path not in self.libraries:
            self.libraries[path] = self._read(file, path, loading)
        return self.libraries[path]

    def _read(
        self, file: Path, path: Path, loading: tuple[Path, ...]
    ) -> Library | None:
        if path.parent == _standard_folder():
            return check_standard(path)[1]
        try:
            module = parse(Source(str(file), read_file(file)))
        except ProgramError as error:
            self.findings += error.diagnostics
            return None
        return self.check(module, file, (*loading, path))


def _wanted(
    statement: ast.Import,
    target: Path,
    library: Library | None,
    imports: dict[str, Imported],
) -> list[Diagnostic]:
    """Add the kernels that a statement names to *imports*; return what is wrong."""
    findings = []
    for name in statement.names:
        if library is None:
            continue
        if name.name not in library.kernels:
            findings.append(_missing(name, target, library))
            continue
        before = imports.setdefault(name.name, Imported(name.name, library))
        if before.library is not library:
            findings.append(_twice(name))
    return findings


# Where an import statement points to


def _target(
    statement: ast.Import, file: Path | None, loading: tuple[Path, ...]
) -> Path | Diagnostic:
    if statement.level == 0:
        found = _standard(statement)
    elif file is None:
        return Diagnostic(
            "E0421",
            "a text without a file has nothing beside it to import from",
            statement.span,
            "a relative import",
            "put the text into a .pdl file and use polydsl.load",
        )
    else:
        found = _beside(statement, file)
    if isinstance(found, Diagnostic):
        return found
    if found.resolve() in loading:
        return _cycle(statement, found, loading)
    return found if len(loading) < DEEPEST else _too_deep(statement)


def _beside(statement: ast.Import, file: Path) -> Path | Diagnostic:
    folder = file.resolve().parent
    for _ in range(statement.level - 1):
        folder = folder.parent
    path = folder.joinpath(*statement.module).with_suffix(".pdl")
    if path.is_file():
        return path
    known = [p.stem for p in path.parent.glob("*.pdl")]
    more = suggest(path.stem, known)
    return Diagnostic(
        "E0422",
        f"there is no file {path.name} to import from",
        statement.span,
        f"looked in {path.parent}",
        more or "the name after the dots is that of a .pdl file in that folder",
    )


def _standard(statement: ast.Import) -> Path | Diagnostic:
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


# What is wrong with an import


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


def _too_deep(statement: ast.Import) -> Diagnostic:
    return Diagnostic(
        "E0426",
        f"more than {DEEPEST} files import from one another in a row",
        statement.span,
        "one file too many",
        "import from the file that defines the kernel",
    )


def _missing(name: ast.Name, target: Path, library: Library) -> Diagnostic:
    hint = suggest(name.name, library.kernels)
    if name.name in library.imports:
        hint = "it imports this kernel itself: import it from where it is defined"
    known = ", ".join(library.kernels) or "none"
    return Diagnostic(
        "E0425",
        f"{target.name} has no kernel {name.name}",
        name.span,
        "not defined there",
        hint or f"it has {known}",
    )


def _twice(name: ast.Name) -> Diagnostic:
    return Diagnostic(
        "E0411",
        f"the kernel {name.name} is imported twice",
        name.span,
        f"{name.name} is imported from another file already",
        "import one of the two, or give one another name where it is defined",
    )
