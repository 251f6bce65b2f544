"""Random chains of windows: `windows()` draws programs in which convolutions, pooling
and stencils read each other's lines, around their own or skipping some.

Padding, strides, dilation, what is computed twice or needed elsewhere, and lines that
are read backward or several times in a row: all of it is drawn, with few lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from program_builder import Program

CHANNELS = (8, 3, 16, 5, 1)
ELEMENTS = (
    "tanh({0})",
    "max({0} + {1}, 0)",
    "{0} * {1}",
    "exp(clamp({0}, -3, 3)) - {1}",
)
POOLS = ("max", "sum", "min", "mean")


@dataclass(frozen=True, slots=True)
class _Image:
    """A tensor [images, lines, columns, channels]; of some there is only one, without
    an axis."""

    name: str
    shape: tuple[int, int, int, int]


@dataclass(slots=True)
class _Windows:
    """A program while it is drawn."""

    draw: Callable[[st.SearchStrategy[Any]], Any]
    dtype: str = "f32"
    has_images: bool = False
    has_columns: bool = True
    is_first: bool = False
    ranges: list[str] = field(default_factory=list)
    arguments: list[tuple[str, str, tuple[int, ...]]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    images: list[_Image] = field(default_factory=list)

    def pick(self, among: Any) -> Any:
        return self.draw(st.sampled_from([*among]))

    def chance(self, percent: int) -> bool:
        return bool(self.draw(st.integers(0, 99)) < percent)

    def axes(self, *all_of_them: Any) -> tuple[Any, ...]:
        """Return what stands at the axes that there are, channels in front or not."""
        image, line, column, channel = all_of_them
        found = [image] if self.has_images else []
        inner = [line, column] if self.has_columns else [line]
        return (*found, *((channel, *inner) if self.is_first else (*inner, channel)))

    def index(self, extent: int) -> str:
        name = f"v{len(self.ranges)}"
        self.ranges.append(f"{name} in range({extent})")
        return name

    def parameter(self, *shape: int) -> str:
        name = f"p{len(self.arguments)}"
        self.arguments.append((name, self.dtype, shape))
        return name

    def access(self, image: _Image, *subscripts: str) -> str:
        return f"{image.name}[{', '.join(self.axes(*subscripts))}]"

    def define(self, shape: tuple[int, int, int, int]) -> tuple[_Image, list[str]]:
        """Declare the next tensor and return it with an index for each axis."""
        made = _Image(f"t{len(self.images)}", shape)
        dims = ", ".join(map(str, self.axes(*shape)))
        self.lines.append(f"{made.name}: {self.dtype}[{dims}]")
        self.images.append(made)
        return made, [self.index(n) for n in shape]

    def window(self, extent: int) -> tuple[int, str, bool, int]:
        """Return the extent of what reads an axis through a window, the subscript with
        {o} and {r} for its indices, whether that leaves the axis, and the window."""
        size = self.pick((3, 2, 1, 5))
        step, apart = self.pick((1, 1, 2, 3)), self.pick((1, 1, 1, 2))
        reach = apart * (size - 1)
        pad = self.pick((reach // 2, 0, 1, reach))
        out = (extent + 2 * pad - reach - 1) // step + 1
        if out < 1:
            return extent, "{o} + {r}", True, size
        return out, f"{step}*{{o}} + {apart}*{{r}} - {pad}", pad > 0, size

    # Statements

    def read(self, image: _Image, left: list[str], channel: str) -> tuple[Any, ...]:
        """Return a read through a window, the extents of the result, and the indices
        of the window."""
        out, form, leaves, size = self.window(image.shape[1])
        wide, across, beyond, width = self.window(image.shape[2])
        r, s = self.index(size), self.index(width)
        y, x = self.index(out), self.index(wide)
        text = self.access(
            image, left[0], form.format(o=y, r=r), across.format(o=x, r=s), channel
        )
        inside = not leaves and not (beyond and self.has_columns)
        names = [r, s] if self.has_columns else [r]
        sizes = [size, width] if self.has_columns else [size]
        return text, inside, (y, x), (out, wide), names, sizes

    def convolution(self) -> None:
        image = self.latest()
        n, channel = self.index(image.shape[0]), self.index(image.shape[3])
        text, inside, (y, x), extents, names, sizes = self.read(image, [n], channel)
        text = text if inside else f"pad({text})"
        per_channel = self.chance(25)
        count = image.shape[3] if per_channel else self.pick(CHANNELS)
        left = channel if per_channel else self.index(count)
        depth = [] if per_channel else [channel]
        deep = [] if per_channel else [image.shape[3]]
        weights = self.parameter(*sizes, *deep, count)
        where = ", ".join((*names, *depth, left))
        made, _ = self.define((image.shape[0], *extents, count))
        target = self.access(made, n, y, x, left)
        self.lines.append(f"{target} += {text} * {weights}[{where}]")

    def pooling(self) -> None:
        image = self.latest()
        n, channel = self.index(image.shape[0]), self.index(image.shape[3])
        text, inside, (y, x), extents, names, _ = self.read(image, [n], channel)
        function = self.pick(POOLS)
        outside = {"max": ", -inf", "min": ", inf"}.get(function, "")
        text = text if inside else f"pad({text}{outside})"
        made, _ = self.define((image.shape[0], *extents, image.shape[3]))
        target = self.access(made, n, y, x, channel)
        self.lines.append(f"{target} = {function}[{', '.join(names)}]({text})")

    def element(self) -> None:
        image = self.latest()
        made, left = self.define(image.shape)
        alike = [i for i in self.images[:-1] if i.shape == image.shape]
        if alike and self.chance(35):
            other = self.access(self.pick(alike), *left)
        else:
            other = f"{self.parameter(image.shape[3])}[{left[3]}]"
        value = self.pick(ELEMENTS).format(self.access(image, *left), other)
        self.lines.append(f"{self.access(made, *left)} = {value}")

    def stencil(self) -> None:
        """Combine two lines around each, or each with its mirror image."""
        image = self.latest()
        made, left = self.define(image.shape)
        n, y, x, channel = left
        one = self.access(image, n, f"{y} - {self.pick((1, 2))}", x, channel)
        other = self.access(image, n, f"{y} + {self.pick((1, 3))}", x, channel)
        if self.chance(12):
            other = self.access(image, n, f"{image.shape[1] - 1} - {y}", x, channel)
        if self.chance(10):
            other = self.access(image, n, f"{y} // 2", x, channel)
        value = f"pad({one}) - tanh(pad({other}))"
        self.lines.append(f"{self.access(made, *left)} = {value}")

    def latest(self) -> _Image:
        return self.images[-1] if self.chance(88) else self.pick(self.images)

    def program(self) -> Program:
        """Return the program, with results of which some are read by others."""
        results = [self.images[-1]]
        results += [i for i in self.images[1:-1] if self.chance(8)]
        header = ", ".join(
            f"{name}: {dtype}[{', '.join(map(str, shape))}]"
            for name, dtype, shape in self.arguments
        )
        names = [image.name for image in results]
        used = {*re.findall(r"\w+", "\n".join(self.lines))}
        ranges = [r for r in self.ranges if r.partition(" ")[0] in used]
        body = "\n    ".join((*ranges, *self.lines, f"return {', '.join(names)}"))
        return Program(f"kernel f({header}):\n    {body}\n", tuple(self.arguments))


@st.composite
def windows(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Program:
    """Draw a program with two to four tensors that are read through windows."""
    w = _Windows(draw)
    w.dtype = w.pick(("f32", "f32", "f64"))
    w.has_images, w.has_columns = w.chance(35), w.chance(70)
    w.is_first = w.chance(30)
    shape = (
        w.pick((2, 1, 3)) if w.has_images else 1,
        w.pick((13, 20, 9, 27)),
        w.pick((6, 4, 8, 11)) if w.has_columns else 1,
        w.pick(CHANNELS),
    )
    w.images.append(_Image(w.parameter(*w.axes(*shape)), shape))
    for _ in range(draw(st.integers(2, 4))):
        w.pick((w.convolution, w.convolution, w.pooling, w.stencil))()
        if w.chance(50):
            w.element()
    return w.program()
