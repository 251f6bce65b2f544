"""What functions compiled ahead of time return, and what each status means."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """The outcome of a call. `meaning` is one sentence, for the header and programs."""

    meaning: str

    def __new__(cls, number: int, meaning: str) -> Status:
        """Return a member that carries its meaning."""
        status = int.__new__(cls, number)
        status._value_ = number
        status.meaning = meaning
        return status

    OK = 0, "the results are complete"
    NO_CODE = 1, "this CPU has none of the instruction sets of the object"
    NULL_POINTER = 2, "argument number `which`, from 0, is a null pointer"
    MISALIGNED = 3, "argument number `which`, from 0, is not aligned to its elements"
    OVERLAP = 4, "the result that is argument number `which` overlaps another argument"
    SCRATCH = 5, "scratch is null, not aligned to 64 bytes, or smaller than needed"
    PREPARED = (
        6,
        (
            "prepared memory is null, not aligned to 64 bytes, too small, or was not "
            "filled by this object on this CPU"
        ),
    )
    SIZES = 7, "a size or a constant is another than the object was compiled for"
    SUBSCRIPT = (
        8,
        (
            "check number `which` failed: the indirect subscript at row-major position "
            "`position` is `value`, which is out of range; the results are incomplete"
        ),
    )
