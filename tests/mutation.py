"""What a deliberate bug is; they are in `mutations.py` and `model_mutations.py`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """A bug: in which layer, what it is, and the edit that makes it.

    `checks` names what is run against it (`mutants.CHECKS`); with `unproved`, also
    without the proofs of the loop nest.
    """

    layer: str
    what: str
    file: str
    old: str
    new: str
    checks: str = "programs"
    unproved: bool = False
