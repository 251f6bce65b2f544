"""The environment as a value, with awkward environments."""

from pathlib import Path

import pytest

from polydsl.base.options import VARIABLES, Options


def test_an_empty_environment_still_has_a_cache_folder() -> None:
    options = Options.from_environment({})
    assert options.cache_folder.is_absolute()
    assert (options.isa, options.dump, options.threads) == ("", (), None)
    assert options.color


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"HOME": "/h"}, "/h/.cache/polydsl"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/x/polydsl"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "relative"}, "/h/.cache/polydsl"),
        ({"HOME": "/h", "XDG_CACHE_HOME": ""}, "/h/.cache/polydsl"),
        ({"HOME": "/h", "POLYDSL_CACHE_DIR": "/own"}, "/own"),
        ({"HOME": "/h", "POLYDSL_CACHE_DIR": "", "XDG_CACHE_HOME": "/x"}, "/x/polydsl"),
    ],
)
def test_the_cache_folder_follows_the_contract(
    environ: dict[str, str], folder: str
) -> None:
    assert Options.from_environment(environ).cache_folder == Path(folder)


@pytest.mark.parametrize(
    ("text", "threads"),
    [("4", 4), ("4,2", 4), (" 3 ", 3), ("0", None), ("-1", None), ("many", None)],
)
def test_omp_num_threads_is_read_as_openmp_reads_it(
    text: str, threads: int | None
) -> None:
    assert Options.from_environment({"OMP_NUM_THREADS": text}).threads == threads


def test_the_rest_of_the_table() -> None:
    options = Options.from_environment(
        {"POLYDSL_ISA": " AVX2 ", "POLYDSL_DUMP": "typed, tree,", "NO_COLOR": "1"}
    )
    assert options.isa == "avx2"
    assert options.dump == ("typed", "tree")
    assert not options.color
    assert Options.from_environment({"NO_COLOR": ""}).color


def test_only_variables_of_the_table_are_read() -> None:
    class Recorder(dict[str, str]):
        def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
            self[name] = default
            return default

    environ = Recorder()
    Options.from_environment(environ)
    # HOME is where the table says "~".
    assert set(environ) - {"HOME"} == {row.name for row in VARIABLES}
    assert all(row.meaning.endswith(".") for row in VARIABLES)
