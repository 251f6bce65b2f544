"""The type checker's view of the package has every file, where it is imported from."""

from __future__ import annotations

from pathlib import Path

from typecheck import MAPPED, ROOT, folders_of, make_view


def test_view_holds_every_module(tmp_path: Path) -> None:
    package = make_view(tmp_path / "view")
    shown = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    own = {p.relative_to(ROOT / "polydsl") for p in (ROOT / "polydsl").rglob("*.py")}
    mapped = {
        p.relative_to(ROOT) for name in MAPPED for p in (ROOT / name).rglob("*.py")
    }
    assert shown == {path.as_posix() for path in own | mapped}
    names = {folder.relative_to(package).as_posix() for folder in folders_of(package)}
    assert {".", "backend", "grammar", "stdlib", "backend/emitter"} <= names


def test_view_follows_the_sources(tmp_path: Path) -> None:
    stale = tmp_path / "view" / "polydsl" / "gone.py"
    stale.parent.mkdir(parents=True)
    stale.write_text("")
    package = make_view(tmp_path / "view")
    assert not stale.exists()
    isa = package / "backend" / "isa.py"
    assert isa.resolve() == (ROOT / "backend" / "isa.py").resolve()
