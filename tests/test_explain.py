"""`explain`: what each index moves, costs by level, predicted and measured time."""

from __future__ import annotations

import re

import pytest
from machines import machine
from rich.text import Text

import polydsl
from polydsl.driver.cli import main
from polydsl.driver.cli_output import explained
from polydsl.schedule.decision import Cost, Decision, LevelCost, Rejected, render

CONV = ("f32[1,9,9,8]", "f32[3,3,8,16]")


def test_the_indices_of_a_product_have_roles() -> None:
    text = polydsl.stdlib.conv.conv2d_nhwc.specialize(*CONV).explain()
    assert "  rows n (1), p (7), q (7): move y, x\n" in text
    assert "  columns k (16): moves y, weight\n" in text
    assert "  depth r (3), s (3), c (8): move x, weight\n" in text


def test_the_indices_of_other_statements_move_tensors() -> None:
    kernel = polydsl.stdlib.normalization.rms_norm
    text = kernel.specialize("f32[4,50]", "f32[50]").explain()
    assert re.search(r"^  reduced \w+ \(50\): moves x$", text, re.M)
    assert re.search(r"^  left \w+ \(50\): moves y, x, weight$", text, re.M)
    assert re.search(r"^S\d+: scale_mean\[\w+\] add= x$", text, re.M)


def test_a_decision_inside_of_a_recurrence_counts_for_every_iteration() -> None:
    scan = polydsl.loads("""
    kernel scan(u: f32[T, N, D]) -> f32[T, N, D]:
        h[t, n, d] = u[t, n, d] + pad(h[t - 1, n, d]) + pad(h[t, n - 1, d])
        return h
    """).scan
    text = scan.specialize("f32[7,5,64]").explain()
    assert len(re.findall(r"^  predicted .*; 11 times in a call$", text, re.M)) == 1
    (once,) = re.findall(r"^  predicted ([\d.]+) ns", text, re.M)
    (called,) = re.findall(r"^predicted on one thread: ([\d.]+) .s$", text, re.M)
    ratio = float(called) / (11 * float(once))
    assert min(abs(ratio - 1), abs(1000 * ratio - 1)) < 0.05


def test_measured_beside_predicted() -> None:
    special = polydsl.stdlib.conv.conv2d_nhwc.specialize(*CONV)
    assert re.search(r"^predicted on one thread: [\d.]+ .s$", special.explain(), re.M)
    text = special.explain(measure=True)
    pattern = r"^on one thread: predicted [\d.]+ .s, measured [\d.]+ .s: the prediction"
    assert re.search(pattern + r" is \d+% (more|less)$", text, re.M)


def test_what_was_asked_for_is_said() -> None:
    kernel = polydsl.stdlib.linalg.matmul.configure(ranker="polyrank")
    text = kernel.specialize("f32[8,8]", "f32[8,8]").explain()
    assert "\nasked for: ranker polyrank\n" in text


MACHINE = machine()
DECISION = Decision(
    "S1 (y)",
    "brgemm 6x64",
    "it is cheapest",
    Cost(
        (("multiply-adds", MACHINE.frequency), ("copies", MACHINE.frequency / 4)),
        (LevelCost("L1", 4096.0, 0.5), LevelCost("L2", 3 << 20, 0.75)),
        "L2",
    ),
    (
        Rejected("brgemm 14x32", Cost((("copies", MACHINE.frequency * 2),)), "copies"),
        Rejected("plain", None, "it is slow"),
    ),
)


def test_a_decision_in_seconds_with_levels() -> None:
    assert render(DECISION, MACHINE) == (
        "S1 (y): brgemm 6x64\n"
        "  because it is cheapest\n"
        "  predicted 1.25 s (multiply-adds 1 s, copies 250 ms), bound by L2\n"
        "    data from       moves      takes\n"
        "    L1              4 KiB     500 ms\n"
        "    L2              3 MiB     750 ms  <- bound\n"
        "  not brgemm 14x32: copies, 2 s (copies 2 s)\n"
        "  not plain: it is slow"
    )


def test_colours_leave_the_text_alone() -> None:
    text = render(DECISION, MACHINE)
    colored = explained(text)
    assert isinstance(colored, Text) and colored.plain == text
    styles = {text[s.start : s.end].strip(): str(s.style) for s in colored.spans}
    assert styles["because"] == "green" and styles["not"] == "yellow"
    assert styles["S1 (y)"] == "bold" and styles["<- bound"] == "bold magenta"


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("stdlib.linalg", "matmul", "--size", "M=16,N=16,K=16", "--measure")
    assert main(("explain", *words)) == 0
    text = capsys.readouterr().out
    assert "  rows i (16): moves c, a\n" in text and ", measured " in text
