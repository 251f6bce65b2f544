"""The page "life of a kernel": two kernels, stage by stage, out of the golden files.

What a paragraph puts into backquotes must stand in the text below it, so that neither
the texts nor the words about them can grow old.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"

_QUOTED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Life:
    """A kernel with a folder of golden files: what it is, and words on each stage."""

    kernel: str
    title: str
    about: str
    stages: tuple[tuple[str, str], ...]


CONVOLUTION = Life(
    "conv2d_nhwc_bias_relu",
    "A convolution with bias and ReLU",
    "An image of 14x14 pixels and 32 channels, 3x3 taps, 64 channels out, padded by "
    "one pixel. Weights and bias are bound.",
    (
        (
            "ast",
            "The text as the parser understood it, written anew in one style. Nothing "
            "is known yet but that it is well formed: the rank of `x`, for instance, "
            "is just what its annotation says.",
        ),
        (
            "typed",
            "Sizes are bound to numbers and keep their names. Every tensor has its "
            "type, every index its range: `r in range(0, R)` comes from the dimension "
            "of `weight` in which r stands. What `+=` sums over is worked out.",
        ),
        (
            "scop",
            "Statements over integer sets. A sum has become two statements, `S0` for "
            "its first value and `S1` for what is added (`y add=`). The padded read of "
            "x is a map from the points at which it is inside of the tensor, here by "
            "`-p < r <= 14 - p`; elsewhere it needs nothing. Bounds and definedness "
            "are proved on these sets.",
        ),
        (
            "dependences",
            "What must run before what, and through which tensor. A `reduction` may "
            "run in any order, for its combination is associative in exact arithmetic; "
            "`flow` is a value that is needed.",
        ),
        (
            "tree",
            "The schedule. S0 and S1 are a product whose rows are the pixels `p.q`, "
            "flattened, whose depth is the channel `c` and whose taps are `r.s`: they "
            "run as one `microkernel`, which begins at zero by itself. Bias and ReLU, "
            "`S2`, follow on its tile while that is in registers.",
        ),
        (
            "nest",
            "The loops, explicit to the last index. The border of the image costs a "
            "table of row offsets, `S1_x_rows`, which says where a pixel's row of "
            "channels lies, or that it is `S1_x_padding`, a line of zeros. Tiles have "
            "`m 10` rows, the last one `m 6`, and stay in the registers `S1_tile` for "
            "bias and ReLU: the sums themselves are never stored. Each leaf is proved "
            "to run at just the points of its statement, and every element to be "
            "written before it is read.",
        ),
    ),
)

RECURRENCE = Life(
    "rnn",
    "A recurrence",
    "A simple recurrent layer: 9 steps, 24 inputs, a state of 40 numbers.",
    (
        (
            "ast",
            "The product with the inputs needs no state, so it is written as a tensor "
            "of its own, `p`. The state `h` needs `q`, and `q` needs the state of the "
            "step before; `pad` makes that one zero before the first.",
        ),
        (
            "typed",
            "The type of h comes from the result's; reading itself does not matter for "
            "it. The value outside is written out: `pad(h[t - 1, j], 0.0)`.",
        ),
        (
            "scop",
            "`S3` reads the element `h[-1 + t, j]`, at the points `0 < t <= 8` only. "
            "The order of the statements is found here: tensors that need each other, "
            "`q` and `h`, form a component, and a time is looked for along which no "
            "need runs backward. The index t, forward, is one. (Where no index will "
            "do, as for a sum that runs backward, statements are rewritten to have the "
            "time as an index, and this text shows that.)",
        ),
        (
            "dependences",
            "One flow goes from a later statement to an earlier one, and to a later "
            "step: `S4 -> S3  through h`, to `t' = 1 + t`. All others stay within a "
            "step.",
        ),
        (
            "tree",
            "p lies outside of the loop: a product over all steps at once, on the "
            "`microkernel`. Then comes a `band t in 0..9`, and inside of it what one "
            "step does, planned like any kernel in which t is fixed: registers, "
            "vectors, and in larger layers threads.",
        ),
        (
            "nest",
            "`for t in 0..9` runs the steps one after the other; sums of q are kept in "
            "the registers `S3_acc`, with vectors along j. The proof of order looks at "
            "the time of each access, here the value of t: an element must be written "
            "at an earlier time than it is read, or at the same one further up.",
        ),
    ),
)

LIVES = (CONVOLUTION, RECURRENCE)

_INTRODUCTION = (
    "# The life of a kernel",
    "",
    "What each stage of the compiler makes of two kernels, as `Specialization.emit` "
    "and `polydsl emit` print it for a machine with AVX-512. The texts are the golden "
    "files of the tests, so this page is what the compiler does. The stages "
    "themselves, and why they are as they are, are described in "
    "[Architecture](architecture.md).",
    "",
)


def life_page() -> str:
    """Return the page."""
    lines = [*_INTRODUCTION]
    for life in LIVES:
        lines += [f"## {life.title}", "", life.about, ""]
        for stage, words in life.stages:
            lines += section(life.kernel, stage, words)
    return "\n".join(lines)


def section(kernel: str, stage: str, words: str) -> Iterator[str]:
    """Yield the lines about a stage. Raises `ValueError` where *words* quote what its
    text has not."""
    path = GOLDEN / kernel / f"{stage}.txt"
    text = path.read_text(encoding="utf-8")
    for quoted in _QUOTED.findall(words):
        if quoted not in text:
            raise ValueError(f"the words on {stage} of {kernel}: no {quoted} in {path}")
    yield from (f"### {kernel}: {stage}", "", words, "")
    language = "pdl" if stage == "ast" else "text"
    yield from (f"```{language}", *text.rstrip("\n").splitlines(), "```", "")
