"""Runs mypy over the whole package and proves that it sees every folder of it.

Type checkers do not know that `backend`, `grammar` and `stdlib` are installed as parts
of `polydsl`, and skip what they cannot find without a word. So they get a view of the
package with symbolic links, and before the real run an error is planted in every folder
of that view, which must be reported: `python -m tests.typecheck`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
VIEW = ROOT / ".typecheck"
MAPPED = ("backend", "grammar", "stdlib")
PLANTED = "planted_error.py"
_ERROR = 'number: int = "no number"\n'


def make_view(folder: Path) -> Path:
    """Link every file of the package to where it is imported from."""
    shutil.rmtree(folder, ignore_errors=True)
    package = folder / "polydsl"
    for source in (ROOT / "polydsl", *(ROOT / name for name in MAPPED)):
        target = package / source.name if source.name in MAPPED else package
        for path in sorted(source.rglob("*")):
            if path.is_file() and path.suffix in (".py", ".typed"):
                link = target / path.relative_to(source)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path)
    return package


def folders_of(package: Path) -> tuple[Path, ...]:
    """Return the folders that hold modules."""
    return tuple(sorted({path.parent for path in package.rglob("*.py")}))


def run_mypy(view: Path) -> tuple[int, str]:
    """Check the package in a view; return mypy's exit code and what it says."""
    command = [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml"]
    ran = subprocess.run(
        [*command, "-p", "polydsl"], cwd=view, capture_output=True, text=True
    )
    return ran.returncode, ran.stdout + ran.stderr


def unseen_folders(view: Path, package: Path) -> list[str]:
    """Plant an error in every folder; return the folders where mypy misses it."""
    folders = folders_of(package)
    for folder in folders:
        (folder / PLANTED).write_text(_ERROR, encoding="utf-8")
    _, report = run_mypy(view)
    for folder in folders:
        (folder / PLANTED).unlink()
    names = [str(folder.relative_to(view)) for folder in folders]
    return [name for name in names if f"{name}/{PLANTED}:1: error" not in report]


def main() -> int:
    """Run both checks; return the exit code."""
    package = make_view(VIEW)
    unseen = unseen_folders(VIEW, package)
    if unseen:
        print(f"mypy does not see {', '.join(unseen)}", file=sys.stderr)
        return 1
    code, report = run_mypy(VIEW)
    print(report, end="")
    return code


if __name__ == "__main__":
    sys.exit(main())
