"""Points as plain JSON values, and back: what result files of tuning hold.

A point's class is under "kind", its fields under their names; tuples are lists. Reading
is strict: what was not written by `to_plain` is refused.
"""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints
from typing import Literal as OneOf

from polydsl.schedule.point import Point

KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (get_args(Point) or (Point,))
}
"""The classes of points by name."""


def to_plain(point: Point) -> dict[str, Any]:
    """Return a point as values that JSON has."""
    return {"kind": type(point).__name__, **_fields(point)}


def from_plain(content: object) -> Point:
    """Return the point that values stand for. Raises ValueError for anything else."""
    if not isinstance(content, dict) or content.get("kind") not in KINDS:
        raise ValueError(f"a point has a kind, one of {', '.join(KINDS)}")
    inner = {name: value for name, value in content.items() if name != "kind"}
    point: Point = _read(KINDS[content["kind"]], inner)
    return point


def _fields(value: Any) -> dict[str, Any]:
    return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return _fields(value)
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _read(kind: Any, content: Any) -> Any:
    """Return a value of an annotated type: dataclasses, tuples, unions and scalars."""
    if is_dataclass(kind):
        return _read_fields(kind, content)
    match get_origin(kind):
        case None if kind in (int, str, bool, type(None)) and type(content) is kind:
            return content
        case origin if origin is OneOf and content in get_args(kind):
            return content
        case origin if origin is tuple and isinstance(content, list):
            return tuple(_read(get_args(kind)[0], item) for item in content)
        case origin if origin in (Union, types.UnionType):
            return _read_any(get_args(kind), content)
        case _:
            raise ValueError(f"{content!r} is no {kind}")


def _read_fields(kind: Any, content: Any) -> Any:
    hints = get_type_hints(kind)
    if not isinstance(content, dict) or set(content) != set(hints):
        raise ValueError(f"{kind.__name__} has the fields {', '.join(hints)}")
    return kind(**{name: _read(hints[name], v) for name, v in content.items()})


def _read_any(kinds: tuple[Any, ...], content: Any) -> Any:
    for kind in kinds:
        try:
            return _read(kind, content)
        except ValueError:
            continue
    raise ValueError(f"{content!r} is none of {kinds}")
