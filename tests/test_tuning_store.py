"""Results of tuning on disk: found again, carried about, and never trusted blindly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from point_samples import POINT

import polydsl
from polydsl.backend.isa import ISAS
from polydsl.base.diagnostics import PolydslError
from polydsl.driver.cli import USAGE, WRONG, main
from polydsl.driver.toolchain import toolchain
from polydsl.driver.tuning_store import (
    Entry,
    TuningStore,
    TuningWarning,
    read_entries,
    tuning_key,
    write_entries,
)
from polydsl.schedule.point_text import from_plain, to_plain

KEY = "0123abcd"
ENTRY = Entry(
    KEY, "conv", "x: f32[8]", "avx2 (znver2)", 1, 2.0, 1.0, (("S (y)", POINT),)
)


@pytest.fixture
def store(tmp_path: Path) -> TuningStore:
    return TuningStore(tmp_path / "tuning")


def test_an_entry_is_found_again(store: TuningStore) -> None:
    assert store.get(KEY) is None
    store.put(ENTRY)
    assert store.get(KEY) == ENTRY
    assert [path.name for path in store.folder.iterdir()] == [f"{KEY}.json"]


DAMAGE = {
    "cut": lambda text: text[:-9],
    "empty": lambda text: "",
    "list": lambda text: "[]",
    "format": lambda text: text.replace('"format": 1', '"format": 2'),
    "other key": lambda text: text.replace(KEY, "0123abce"),
    "no threads": lambda text: text.replace('"threads"', '"thread"'),
    "kind": lambda text: text.replace("MatrixPoint", "Point"),
    "type": lambda text: text.replace('"row_tile": 6', '"row_tile": "6"'),
    "field": lambda text: text.replace('"row_tile"', '"tile"'),
    "literal": lambda text: text.replace('"in place"', '"somewhere"'),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_ignored_with_a_warning(
    store: TuningStore, damage: str
) -> None:
    store.put(ENTRY)
    path = store.folder / f"{KEY}.json"
    text = path.read_text()
    changed = DAMAGE[damage](text)
    assert changed != text
    path.write_text(changed)
    with pytest.warns(TuningWarning, match="is not used"):
        assert store.get(KEY) is None


def test_a_key_is_that_of_the_untuned_kernel_on_a_cpu() -> None:
    kernel = polydsl.stdlib.linalg.dot
    request = kernel.specialize("f32[8]", "f32[8]").request
    longer = kernel.specialize("f32[9]", "f32[9]").request
    ranked = kernel.configure(ranker="polyrank").specialize("f32[8]", "f32[8]").request
    host = toolchain().target
    key = tuning_key(request, host)
    assert tuning_key(request.choosing({"S (y)": POINT}), host) == key
    others = {
        tuning_key(longer, host),
        tuning_key(ranked, host),
        tuning_key(request, replace(host, cpu="another")),
        tuning_key(
            request, replace(host, isa=next(row for row in ISAS if row != host.isa))
        ),
    }
    assert len(others) == 4 and key not in others


def test_points_survive_json() -> None:
    assert from_plain(json.loads(json.dumps(to_plain(POINT)))) == POINT


def test_results_are_carried_in_one_file(tmp_path: Path, store: TuningStore) -> None:
    other = Entry("ff", "a", "x: f32[9]", "avx2 (znver2)", 2, 1.0, 1.0, ())
    store.put(ENTRY)
    store.put(other)
    path = tmp_path / "results.json"
    assert store.export_to(path) == 2
    assert tuple(read_entries(path)) == (other, ENTRY)
    fresh = TuningStore(tmp_path / "fresh")
    assert fresh.import_from(path) == 2
    assert fresh.entries() == store.entries()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "is no file of tuning results"),
        ("[]", "is no file of tuning results"),
        ('{"format": 7}', "its format is 7, and 1 is understood"),
        ('{"format": 1, "entries": [{"format": 1}]}', "is no file of tuning results"),
    ],
)
def test_a_wrong_result_file_is_refused(
    tmp_path: Path, store: TuningStore, text: str, message: str
) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(PolydslError, match=message):
        store.import_from(path)
    assert store.entries() == ()


def test_a_key_is_no_path(tmp_path: Path, store: TuningStore) -> None:
    path = tmp_path / "results.json"
    write_entries(path, [ENTRY])
    path.write_text(path.read_text().replace(KEY, "../key"))
    with pytest.raises(PolydslError, match="its key is no digest"):
        store.import_from(path)


def test_a_missing_result_file(tmp_path: Path) -> None:
    with pytest.raises(PolydslError, match="cannot be read: No such file"):
        polydsl.tuning.import_results(tmp_path / "none.json")
    with pytest.raises(PolydslError, match="cannot be written"):
        polydsl.tuning.export_results(tmp_path / "none" / "results.json")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), USAGE, "FILE and KERNEL, or --export, or --import is needed"),
        (("stdlib.linalg",), USAGE, "FILE and KERNEL"),
        (("--import", "none.json"), WRONG, "none.json cannot be read"),
        (("stdlib.linalg", "matmul"), WRONG, "needs M for a: T[M, K]"),
        (("stdlib.linalg", "matmul", "--seconds", "-1"), USAGE, "-1.0 is not in"),
        (
            ("stdlib.linalg", "dot", "--size", "N=3", "--bind", "w"),
            WRONG,
            "dot has no tensor parameter w to bind",
        ),
    ],
)
def test_wrong_words(words: tuple[str, ...], code: int, message: str, capsys) -> None:
    assert main(("tune", *words)) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan"), "5", True])
def test_wrong_seconds(seconds: object) -> None:
    kernel = polydsl.stdlib.linalg.dot
    with pytest.raises(polydsl.ArgumentError, match="tune= needs seconds"):
        kernel.configure(tune=seconds)
    with pytest.raises(polydsl.ArgumentError, match="tune= needs seconds"):
        kernel.specialize("f32[8]", "f32[8]", tune=seconds)
