"""The package as users get it: a wheel, installed away from the source tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("polydsl", "backend", "grammar", "stdlib")

PROGRAM = """
import sys
from pathlib import Path
import numpy as np
import polydsl
assert Path(polydsl.__file__).is_relative_to(sys.argv[1]), polydsl.__file__
x = np.arange(12, dtype=np.float32).reshape(3, 4)
y = polydsl.stdlib.activation.softmax(x)
np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-6)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Building leaves files beside the sources, and another process may build, too.
    sources = tmp_path_factory.mktemp("sources")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, sources / name)
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", folder, sources], check=True)
    (path,) = folder.glob("*.whl")
    return path


def test_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix not in (".py", ".pdl", ".lark", ".json", ".typed"):
                continue
            inside = path.relative_to(ROOT).as_posix()
            assert (inside if folder == "polydsl" else f"polydsl/{inside}") in names
    assert not [name for name in names if name.startswith(("tests/", "backend/"))]


def test_wheel_runs_away_from_the_source_tree(wheel: Path, tmp_path: Path) -> None:
    # Unpacking is all that pip does with a wheel of pure Python; the dependencies
    # are those of this environment.
    target = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(target)
    # The editable install must not be found: -I leaves out the environment's paths,
    # and the folder of the wheel comes first.
    start = f"import sys; sys.path.insert(0, {str(target)!r}); exec(sys.stdin.read())"
    ran = subprocess.run(
        [sys.executable, "-I", "-c", start, str(target)],
        input=PROGRAM,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_wheel_has_the_command(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (n for n in archive.namelist() if n.endswith("entry_points.txt"))
    assert "polydsl = polydsl.driver.cli:main" in archive.read(name).decode()
