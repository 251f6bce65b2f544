"""Points: schedules of one decision as plain values that can be kept and sent.

What the ranker chooses among, what a user or the tuning store forces, and what a worker
in another process measures. A builder beside each kind makes a plan of it.
"""

from __future__ import annotations

from typing import TypeAlias

from polydsl.schedule.matrix_point import MatrixPoint
from polydsl.schedule.vector_point import VectorPoint

Point: TypeAlias = MatrixPoint | VectorPoint
"""One schedule of the statements of one decision."""
