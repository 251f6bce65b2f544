"""Values that copies share: like Python's functions and modules."""

from __future__ import annotations

from typing import Any, Self


class Shared:
    """Something that never changes and is expensive to make: a copy is the same."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self
