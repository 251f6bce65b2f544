"""Plants bugs in copies of the compiler, one at a time; each must be found.

`python -m tests.mutants` (`make mutants`) copies the package and the tests to a folder
of its own, edits one place (`mutations.py` and its like), runs what is most
likely to find that, and prints a table: which bugs a proof finds while it compiles,
which ones a test. It fails if one survives. Words after the command choose the
mutations that hold them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

try:
    from tests.fusion_mutations import FUSION_MUTATIONS
    from tests.gather_mutations import GATHER_MUTATIONS
    from tests.model_mutations import MODEL_MUTATIONS
    from tests.mutation import Mutation
    from tests.mutations import MUTATIONS
    from tests.order_mutations import ORDER_MUTATIONS
    from tests.value_mutations import VALUE_MUTATIONS
except ModuleNotFoundError:
    from fusion_mutations import FUSION_MUTATIONS
    from gather_mutations import GATHER_MUTATIONS
    from model_mutations import MODEL_MUTATIONS
    from mutation import Mutation
    from mutations import MUTATIONS
    from order_mutations import ORDER_MUTATIONS
    from value_mutations import VALUE_MUTATIONS

ROOT = Path(__file__).parent.parent
MAPPED = ("backend", "grammar", "stdlib")
EVERY: tuple[Mutation, ...] = (
    *MUTATIONS,
    *GATHER_MUTATIONS,
    *ORDER_MUTATIONS,
    *MODEL_MUTATIONS,
    *FUSION_MUTATIONS,
    *VALUE_MUTATIONS,
)
"""All mutations: those that make wrong code, and those that choose badly."""
JOBS = 2
SECONDS = 900.0
"""A run that takes longer hangs, which is a way of being found."""

CHECKS: dict[str, tuple[str, ...]] = {
    "programs": ("mutant_checks.py",),
    "proofs": ("test_verify.py", "test_verify_mutations.py"),
    "points": ("test_matrix_points.py",),
    "orders": ("test_order_mutations.py", "test_loop_bounds.py", "test_orders.py"),
    "splits": ("test_split.py",),
    "fusion": ("test_fusion.py",),
    "prologues": ("test_prologues.py",),
    "copied values": ("test_copied_values.py",),
    "softmax": ("test_online_softmax.py",),
    "row_blocks": ("test_row_blocks.py",),
    "halos": ("test_halos.py",),
    "scratch": ("test_scratch.py",),
    "once": ("test_once.py",),
    "order of contraction": ("test_contraction_order.py",),
    "equal tensors": ("test_equal_tensors.py",),
    "states": ("test_states.py",),
    "legality": ("test_legality.py", "test_legality_random.py"),
    "types": ("test_check_types.py",),
    "errors": ("test_docs.py", "-k", "test_documented_error"),
    "functions": ("test_scalar_accuracy.py",),
    "cache": ("test_cache.py",),
    "layouts": ("test_program_layouts.py",),
    "calls": ("test_call.py",),
    "oracle": ("test_oracle_bounds.py", "test_oracle_values.py"),
    "footprint": ("test_footprint.py",),
    "traffic": ("test_footprint.py", "test_reuse_traffic.py", "test_vector_memory.py"),
    "registers": ("test_registers.py",),
    "sharing": ("test_matrix_shared.py",),
    "forced": ("test_forced_points.py",),
    "providers": ("test_providers.py", "-k", "price or left_out or blocks"),
    "tuner": ("test_tuner.py",),
    "store": ("test_tuning_store.py",),
    "published": ("test_golden_working_sets.py", "test_published_rank.py"),
    "gathers": ("test_gathers.py",),
    "calibration": ("test_calibration.py", "-k", "numbers or kept or damaged"),
}
"""What can be run against a mutation."""

PROOFS = Mutation(
    "driver",
    "the proofs of the loop nest are switched off",
    "polydsl/driver/stages.py",
    "    verify_nest(state.scop, state.schedule, state.nest)\n",
    "    assert verify_nest\n",
)
_OF_PROOFS = ("CompilerBug", "IllegalSchedule")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who found a mutation: "proof", "test", "crash", "hang"; nobody is "SURVIVED"."""

    found: str
    seconds: float
    output: str

    @property
    def is_caught(self) -> bool:
        """Whether somebody found it."""
        return self.found in ("proof", "test", "crash", "hang")


def make_view(folder: Path) -> None:
    """Copy the package, as it is installed, and the tests."""
    ignored = shutil.ignore_patterns("__pycache__", "golden")
    shutil.copytree(ROOT / "polydsl", folder / "polydsl", ignore=ignored)
    for name in MAPPED:
        shutil.copytree(ROOT / name, folder / "polydsl" / name, ignore=ignored)
    for name in ("tests", "docs"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)


def place_of(view: Path, mutation: Mutation) -> Path:
    """Return the file of a mutation in a view."""
    path = Path(mutation.file)
    return view / "polydsl" / path if path.parts[0] in MAPPED else view / path


@contextmanager
def planted(view: Path, *mutations: Mutation) -> Iterator[None]:
    """Edit a view, and undo that."""
    before = {place_of(view, m): place_of(view, m).read_text() for m in mutations}
    try:
        for mutation in mutations:
            path = place_of(view, mutation)
            text = path.read_text()
            if text.count(mutation.old) != 1:
                raise SystemExit(f"{mutation.what}: {mutation.file} has changed")
            path.write_text(text.replace(mutation.old, mutation.new))
        yield
    finally:
        for path, text in before.items():
            path.write_text(text)


def run(view: Path, checks: str) -> Verdict:
    """Run tests in a view; they end at the first failure."""
    options = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly")
    files = [f"tests/{c}" if c.endswith(".py") else c for c in CHECKS[checks]]
    command = [sys.executable, "-B", "-m", "pytest", *options, *files]
    environment = {**os.environ, "PYTHONPATH": str(view)}
    start = time.monotonic()
    try:
        ran = subprocess.run(
            command,
            cwd=view,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Verdict("hang", SECONDS, "")
    seconds = time.monotonic() - start
    return Verdict(_found(ran.returncode, ran.stdout), seconds, ran.stdout)


def _found(code: int, output: str) -> str:
    if code == 0:
        return "SURVIVED"
    if code < 0:
        return "crash"
    if code != 1:
        # Tests that cannot be collected say nothing.
        return "BROKEN"
    errors = [line for line in output.splitlines() if line.startswith("E  ")]
    is_proof = any(name in line for line in errors for name in _OF_PROOFS)
    return "proof" if is_proof else "test"


def verdicts(views: SimpleQueue[Path], mutation: Mutation) -> tuple[Verdict, ...]:
    """Run against a mutation, with the proofs and, where it asks for it, without."""
    view = views.get()
    try:
        with planted(view, mutation):
            found = [run(view, mutation.checks)]
        if mutation.unproved:
            with planted(view, mutation, PROOFS):
                found.append(run(view, mutation.checks))
        return tuple(found)
    finally:
        views.put(view)


def check_imports(view: Path) -> None:
    """End the program unless tests in a view import the package from there."""
    ran = subprocess.run(
        [sys.executable, "-c", "import polydsl.backend.call as m; print(m.__file__)"],
        cwd=view,
        env={**os.environ, "PYTHONPATH": str(view)},
        capture_output=True,
        text=True,
        check=True,
    )
    if not ran.stdout.startswith(str(view)):
        raise SystemExit(f"the copy is not what is imported: {ran.stdout}")


def baseline(views: SimpleQueue[Path], checks: str) -> None:
    """End the program unless everything passes in a view without a bug."""
    view = views.get()
    try:
        verdict = run(view, checks)
    finally:
        views.put(view)
    if verdict.found != "SURVIVED":
        raise SystemExit(f"{checks} fails without a bug:\n{verdict.output}")


def main(words: list[str]) -> int:
    """Plant every mutation that holds one of the words; return the exit code."""
    chosen = tuple(
        m for m in EVERY
        if not words or any(w in f"{m.layer} {m.what}" for w in words)
    )  # fmt: skip
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="polydsl-mutants-") as folder:
        views: SimpleQueue[Path] = SimpleQueue()
        for number in range(JOBS):
            view = Path(folder).resolve() / str(number)
            make_view(view)
            views.put(view)
        check_imports(Path(folder).resolve() / "0")
        with ThreadPoolExecutor(JOBS) as pool:
            used = dict.fromkeys(m.checks for m in chosen)
            list(pool.map(lambda checks: baseline(views, checks), used))
            print(f"{'layer':<13} {'with proofs':<12} {'without':<9} {'time':>5}  bug")
            found = pool.map(lambda m: verdicts(views, m), chosen)
            for mutation, results in zip(chosen, found):
                survivors += not all(verdict.is_caught for verdict in results)
                _report(mutation, results)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutations caught")
    return int(survivors > 0)


def _report(mutation: Mutation, results: tuple[Verdict, ...]) -> None:
    without = results[1].found if len(results) > 1 else ""
    seconds = sum(verdict.seconds for verdict in results)
    print(
        f"{mutation.layer:<13} {results[0].found:<12} {without:<9} {seconds:4.0f}s  "
        f"{mutation.what}",
        flush=True,
    )
    for verdict in results:
        if verdict.found == "BROKEN":
            print(verdict.output)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
