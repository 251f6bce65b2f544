"""What all tests share: golden files, and an object cache of their own."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from emitter_harness import Worker
from hypothesis import is_hypothesis_test

from polydsl.backend.providers.table import Libraries
from polydsl.base.options import Options
from polydsl.base.providers import PROVIDERS

GOLDEN = Path(__file__).parent / "golden"
WITH_TORCH = Path(__file__).parent / "with_torch"
"""Where all tests that need PyTorch are: `.ci/run` reads nothing else for them."""

Golden = Callable[[str, str], None]

_FOLDER = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the golden files anew instead of comparing with them",
    )
    parser.addoption(
        "--cache-folder",
        help="keep the object cache here, for a second run that finds it warm",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Keep the user's cache out of it, before anything of polydsl is imported."""
    # Tests keep much alive, and looking through all of it takes a tenth of the time.
    gc.set_threshold(50_000, 20, 50)
    folder = config.getoption("--cache-folder")
    if folder is None:
        folder = config.stash[_FOLDER] = tempfile.mkdtemp(prefix="polydsl-tests-")
    os.environ["POLYDSL_CACHE_DIR"] = os.path.abspath(folder)
    # Threads of OpenMP turn in circles for a while when their work is done: beside
    # another process that tests, they take its core from it.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def pytest_report_header() -> list[str]:
    """Say which providers of microkernels the tests run, and how to get the others."""
    libraries = Libraries(Options.from_environment(os.environ).libraries)
    lines = []
    for provider in PROVIDERS[1:]:
        found = libraries.find(provider.name)
        state = found.description if found else f"NOT TESTED; {provider.remedy}"
        lines.append(f"microkernels of {provider.name}: {state}")
    return lines


def pytest_collection_finish() -> None:
    """Look no more through what was imported: it stays to the end."""
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    if _FOLDER in config.stash:
        shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every Hypothesis test, for `make fuzz`."""
    for item in items:
        if item.get_closest_marker("torch") and WITH_TORCH not in item.path.parents:
            raise pytest.UsageError(f"{item.nodeid} belongs into {WITH_TORCH.name}")
        if isinstance(item, pytest.Function) and is_hypothesis_test(item.obj):
            item.add_marker("random")


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """A process that runs kernels beside guard pages."""
    process = Worker()
    yield process
    process.close()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare a text with tests/golden/<name>; --update-golden rewrites the file."""
    is_updated = request.config.getoption("--update-golden")

    def check(name: str, actual: str) -> None:
        path = GOLDEN / name
        if is_updated:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(actual, encoding="utf-8")
        assert path.exists(), f"no golden file {path}; run pytest --update-golden"
        assert actual == path.read_text(encoding="utf-8")

    return check
