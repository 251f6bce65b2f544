"""Measuring what `base.machine.Machine` says of this machine: speeds and latencies.

`numbers` names the numbers of a `Machine` that can be measured, `loops` compiles the
loops that measure them, `memory` prepares what they run over, `trials` says which loop
over how much memory tells what, and `measure` runs them and gives the numbers.
"""
