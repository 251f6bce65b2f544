"""The commands about one kernel: run, explain, emit, bench, tune.

Each is a few lines: it reads its options and calls a function of the modules beside
this one. `cli` makes them commands of `polydsl`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from polydsl.driver.cli_bench import BenchOptions, bench_kernel
from polydsl.driver.cli_input import fill, plan
from polydsl.driver.cli_kernels import open_kernel
from polydsl.driver.cli_options import (
    RESULT_FILE,
    Session,
    force_isa,
    given_of,
    kernel_arguments,
    seconds_option,
    threads_option,
    tune_option,
    words_of,
)
from polydsl.driver.cli_output import explained
from polydsl.driver.cli_run import RunOptions, run_kernel
from polydsl.driver.cli_tune import (
    TuneOptions,
    export_file,
    import_file,
    tune_kernel,
)
from polydsl.driver.kernel import Kernel
from polydsl.driver.specialization import Specialization
from polydsl.driver.stages import STAGE_NAMES


@click.command("run")
@kernel_arguments
@tune_option
@click.option(
    "-o",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.npy",
    help="Save a result; one -o for each, in the order of return.",
)
@threads_option
@seconds_option(1.0, "How long to repeat the call for its best time.")
@click.option(
    "--random",
    "distribution",
    type=click.Choice(["normal", "uniform"]),
    default="normal",
    show_default=True,
    help="Random floats: standard normal, or uniform from 0 to 1.",
)
@click.option(
    "--check/--no-check",
    "is_checked",
    default=True,
    help="Compare the results with the oracle (the default).",
)
@click.pass_obj
def run_command(
    session: Session, /, file: str, kernel: str, isa: str | None, **words: Any
) -> None:
    """Run a kernel: time, GFLOP/s, % of peak, checked against the oracle.

    NAME=VALUE gives an input: x=x.npy, a number for a scalar, or a spec such as
    x=f32[64,32]. Inputs that are not given are random, with the sizes of --size.
    """
    force_isa(isa)
    options = RunOptions(
        outputs=words["outputs"],
        bound=words_of(words["bound"]),
        threads=words["threads"],
        seconds=words["seconds"],
        distribution=words["distribution"],
        is_checked=words["is_checked"],
    )
    run_kernel(session.screen, _opened(file, kernel, words), given_of(words), options)


@click.command("explain")
@kernel_arguments
@tune_option
@click.option(
    "--measure", is_flag=True, help="Show the measured time beside the predicted one."
)
@click.pass_obj
def explain_command(
    session: Session, /, file: str, kernel: str, isa: str | None, **words: Any
) -> None:
    """Show the chosen schedule, why it was chosen, and what was rejected."""
    force_isa(isa)
    special = _specialized(session, _opened(file, kernel, words), words)
    with session.screen.progress(f"explaining {kernel}"):
        text = special.explain(measure=words["measure"])
    session.screen.text(explained(text))


@click.command("emit")
@kernel_arguments
@tune_option
@click.option(
    "--stage",
    type=click.Choice(STAGE_NAMES),
    default="nest",
    show_default=True,
    help="The stage whose text is shown.",
)
@click.pass_obj
def emit_command(
    session: Session, /, file: str, kernel: str, isa: str | None, **words: Any
) -> None:
    """Show the text of a compiler stage."""
    force_isa(isa)
    special = _specialized(session, _opened(file, kernel, words), words)
    text = special.emit(words["stage"])
    session.screen.text(text if text.endswith("\n") else f"{text}\n")


def _opened(file: str, name: str, words: Mapping[str, Any]) -> Kernel:
    """Return the kernel, to be compiled as the options say."""
    kernel = open_kernel(file, name)
    return kernel.configure(
        ranker=words["ranker"],
        microkernel=words["microkernel"],
        tune=words.get("tune"),
        fuse=words["fuse"],
    )


def _specialized(
    session: Session, kernel: Kernel, words: Mapping[str, Any]
) -> Specialization:
    wanted = plan(kernel, given_of(words))
    names = words_of(words["bound"])
    if names:
        arrays = fill(kernel, wanted)
        kernel = kernel.bind(**{n: arrays[n] for n in names if n in arrays})
    specs = [str(a) for n, a in wanted.layouts.items() if n not in names]
    with session.screen.progress(f"compiling {kernel.name}"):
        return kernel.specialize(*specs, **wanted.constants)


@click.command("bench")
@kernel_arguments
@tune_option
@click.option(
    "--against",
    multiple=True,
    default=("torch",),
    metavar="torch,libxsmm,mkl",
    help="Peers: PyTorch, or this kernel with the microkernels of a library.",
)
@threads_option
@seconds_option(2.0, "How long all sides together run.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_obj
def bench_command(
    session: Session, /, file: str, kernel: str, isa: str | None, **words: Any
) -> None:
    """Time a kernel beside PyTorch and library microkernels.

    All run in one process and take turns with each other and with a probe of the
    machine's peak; the best of many rounds counts. The ratio is the time of a side over
    that of the kernel as it is compiled.
    """
    force_isa(isa)
    options = BenchOptions(
        against=words_of(words["against"]),
        bound=words_of(words["bound"]),
        threads=words["threads"],
        seconds=words["seconds"],
        is_json=words["is_json"],
    )
    bench_kernel(session.screen, _opened(file, kernel, words), given_of(words), options)


@click.command("tune")
@partial(kernel_arguments, required=False)
@threads_option
@seconds_option(5.0, "How long to compile and measure schedules.")
@click.option("-o", "output", type=RESULT_FILE, help="Write the result to a file too.")
@click.option(
    "--export", "export", type=RESULT_FILE, help="Write all kept results to a file."
)
@click.option(
    "--import", "import_", type=RESULT_FILE, help="Keep the results of a file."
)
@click.pass_obj
def tune_command(
    session: Session, /, file: str | None, kernel: str | None, **words: Any
) -> None:
    """Measure the model's best schedules and keep the fastest.

    Later compilations of the same kernel for the same sizes take it. Results can be
    carried to machines with the same CPU: --export and --import need no kernel.
    """
    if words["export"] is not None:
        export_file(session.screen, words["export"])
    if words["import_"] is not None:
        import_file(session.screen, words["import_"])
    if file is None or kernel is None:
        if words["export"] is None and words["import_"] is None:
            raise click.UsageError(
                "FILE and KERNEL, or --export, or --import is needed"
            )
        return
    force_isa(words["isa"])
    options = TuneOptions(
        bound=words_of(words["bound"]),
        threads=words["threads"],
        seconds=words["seconds"],
        output=words["output"],
    )
    tune_kernel(session.screen, _opened(file, kernel, words), given_of(words), options)


KERNEL_COMMANDS = (
    run_command,
    explain_command,
    emit_command,
    bench_command,
    tune_command,
)
"""The commands of this module."""
