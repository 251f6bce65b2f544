"""Sums of products that are convolutions, as PyTorch's own.

    y[n, k, p, q] += pad(x[n, c, p*stride + r - padding, ...]) * w[k, c, r, ...]

matches by its subscripts alone, in any order of dimensions, with channels in groups:
every dimension of the image is an axis of the batch, of the channels, or the sum of an
axis of the result and one of the window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any
from typing import Literal as OneOf

from polydsl.driver.pytorch.box import Box, is_zero
from polydsl.driver.pytorch.products import factors
from polydsl.driver.pytorch.views import Run, Tensors
from polydsl.poly.terms import Linear
from polydsl.semantics.program import Access, Pad

Kind = OneOf["batch", "group", "out", "channel", "place", "tap"]


@dataclass(frozen=True, slots=True)
class Spatial:
    """A dimension of the image: its number, its axes, and how the window moves."""

    dim: int
    place: str
    tap: str
    stride: int
    dilation: int
    padding: int


@dataclass(frozen=True, slots=True)
class Convolution:
    """A matched statement. The groups are tuples of axes; `channel_dims` are the
    dimensions of the image that hold groups and channels, in that order."""

    image: str
    weights: Access
    batch: tuple[str, ...]
    batch_dims: tuple[int, ...]
    group: tuple[str, ...]
    out: tuple[str, ...]
    channel: tuple[str, ...]
    channel_dims: tuple[int, ...]
    spatial: tuple[Spatial, ...]


def match_convolution(box: Box) -> Convolution | None:
    """Return the convolution that a statement is, None where it is none."""
    parts = factors(box.value)
    if len(parts) != 2:
        return None
    for image, weights in (parts, parts[::-1]):
        padded = isinstance(image, Pad) and is_zero(image.value)
        access = image.access if isinstance(image, Pad) else image
        if not isinstance(access, Access) or not isinstance(weights, Access):
            continue
        found = _matched(box, access, weights)
        if found is None:
            continue
        if padded or all(s.padding == 0 for s in found.spatial):
            return found
    return None


def _kinds(box: Box, image: set[str], weights: set[str]) -> dict[str, Kind] | None:
    """Return what each axis is for, by the tensors that it moves."""
    table: Mapping[tuple[bool, bool, bool], Kind] = {
        (True, True, False): "batch",
        (True, True, True): "group",
        (True, False, True): "out",
        (False, True, True): "channel",
    }
    kinds: dict[str, Kind] = {}
    for axis in box.axes:
        kind = table.get((axis in box.left, axis in image, axis in weights))
        if kind is None:
            return None
        kinds[axis] = kind
    return kinds


def _matched(box: Box, image: Access, weights: Access) -> Convolution | None:
    forms = [box.linear(s) for s in image.subscripts]
    weight_forms = [box.linear(s) for s in weights.subscripts]
    known = tuple(f for f in forms if f is not None)
    known_weights = tuple(f for f in weight_forms if f is not None)
    if len(known) < len(forms) or len(known_weights) < len(weight_forms):
        return None
    in_image = {a for f in known for a, _ in f.coefficients}
    in_weights = {a for f in known_weights for a, _ in f.coefficients}
    kinds = _kinds(box, in_image, in_weights)
    if kinds is None:
        return None
    return _arranged(box, image, weights, known, kinds)


def _arranged(
    box: Box,
    image: Access,
    weights: Access,
    forms: tuple[Linear, ...],
    kinds: dict[str, Kind],
) -> Convolution | None:
    batch: list[tuple[int, str]] = []
    group: list[tuple[int, str]] = []
    channel: list[tuple[int, str]] = []
    spatial: list[Spatial] = []
    for dim, form in enumerate(forms):
        found = {kinds[axis]: (axis, c) for axis, c in form.coefficients}
        if len(found) < len(form.coefficients) or not found:
            return None
        if set(found) == {"batch", "channel"}:
            (place, step), (tap, spread) = found["batch"], found["channel"]
            if step < 1 or spread < 1:
                return None
            spatial.append(Spatial(dim, place, tap, step, spread, -form.constant))
            continue
        if form.constant or not _is_packed(box, found):
            return None
        for kind, target in (("batch", batch), ("group", group), ("channel", channel)):
            for name, (axis, _) in found.items():
                if name == kind:
                    target.append((dim, axis))
    taps = {s.tap for s in spatial}
    axes = [a for _, a in (*batch, *group, *channel)]
    axes += [a for s in spatial for a in (s.place, s.tap)]
    out = [a for a in box.left if kinds[a] == "out"]
    dims = tuple(dict.fromkeys(d for d, _ in (*group, *channel)))
    shared = {d for d, _ in group} & {d for d, _ in channel}
    if not 1 <= len(spatial) <= 3 or not out + group or (shared and len(dims) > 1):
        return None
    if sorted((*axes, *out)) != sorted(box.axes) or len(taps) < len(spatial):
        return None
    if any(s.padding < 0 for s in spatial):
        return None
    return Convolution(
        image.tensor,
        weights,
        tuple(a for _, a in batch),
        tuple(d for d, _ in batch),
        tuple(a for _, a in group),
        tuple(out),
        tuple(a for _, a in channel),
        dims,
        tuple(spatial),
    )


def _is_packed(box: Box, found: Mapping[Kind, tuple[str, int]]) -> bool:
    """Whether a dimension is one axis, or channels within groups."""
    if set(found) == {"group", "channel"}:
        (_, outer), (axis, inner) = found["group"], found["channel"]
        return inner == 1 and outer == box.extents[axis]
    return len(found) == 1 and all(c == 1 for _, c in found.values())


def convolve(
    torch: Any, box: Box, conv: Convolution, weights: Run, known: Tensors
) -> Run:
    """Return the convolution. *weights* gives the view of the weights over all axes; of
    *known* ones the layout is changed beforehand."""
    paddings = [s.padding for s in conv.spatial]
    strides = [s.stride for s in conv.spatial]
    dilations = [s.dilation for s in conv.spatial]
    groups = prod(box.shape(conv.group))
    function = getattr(torch.nn.functional, f"conv{len(conv.spatial)}d")
    place_dims = tuple(s.dim for s in conv.spatial)
    places = tuple(s.place for s in conv.spatial)
    order = (*conv.batch_dims, *conv.channel_dims, *place_dims)
    made = (*conv.batch, *conv.group, *conv.out, *places)
    turn = tuple(made.index(axis) for axis in box.left)
    batch, channels = prod(box.shape(conv.batch)), prod(box.shape(conv.channel))
    wanted = box.shape(places)
    fixed = None
    if conv.weights.tensor in known:
        fixed = _arrange(box, conv, weights(known)).contiguous()
    packed = _Packed.of(torch, fixed, conv, groups)

    def run(tensors: Tensors) -> Any:
        image = tensors[conv.image].permute(order)
        extents = image.shape[len(order) - len(place_dims) :]
        image = image.reshape(batch, groups * channels, *extents)
        if packed is not None:
            y = packed(image)
        else:
            filters = fixed
            if filters is None:
                filters = _arrange(box, conv, weights(tensors))
            y = function(image, filters, None, strides, paddings, dilations, groups)
        for number, extent in enumerate(wanted):
            y = y.narrow(2 + number, 0, extent)
        return y.reshape(box.shape(made)).permute(turn)

    return run


@dataclass(frozen=True, slots=True)
class _Packed:
    """A convolution with weights in oneDNN's own layout, as PyTorch's compiler calls it
    where the weights do not change. The layout follows from the first image."""

    torch: Any
    weights: Any
    conv: Convolution
    groups: int
    ready: dict[tuple[int, ...], Any] = field(default_factory=dict)

    @staticmethod
    def of(torch: Any, fixed: Any, conv: Convolution, groups: int) -> _Packed | None:
        """Return it for known weights in f32, None where oneDNN has no part."""
        if fixed is None or len(conv.spatial) != 2 or fixed.dtype != torch.float32:
            return None
        if not torch.backends.mkldnn.is_available():
            return None
        return _Packed(torch, fixed, conv, groups)

    def __call__(self, image: Any) -> Any:
        """Return the convolution of an image."""
        ops = self.torch.ops.mkldnn
        paddings = [s.padding for s in self.conv.spatial]
        strides = [s.stride for s in self.conv.spatial]
        dilations = [s.dilation for s in self.conv.spatial]
        form = (paddings, strides, dilations, self.groups)
        shape = tuple(image.shape)
        if shape not in self.ready:
            reorder = ops._reorder_convolution_weight
            self.ready[shape] = reorder(self.weights, *form, list(shape))
        run = ops._convolution_pointwise
        return run(image, self.ready[shape], None, *form, "none", [], "")


def _arrange(box: Box, conv: Convolution, weights: Any) -> Any:
    """Return weights as [groups * out, channels, taps...]."""
    taps = tuple(s.tap for s in conv.spatial)
    order = (*conv.group, *conv.out, *conv.channel, *taps)
    rows = prod(box.shape((*conv.group, *conv.out)))
    columns = prod(box.shape(conv.channel))
    rest = tuple(axis for axis in box.axes if axis not in order)
    turned = weights.permute(tuple(box.axes.index(axis) for axis in (*order, *rest)))
    return turned.reshape(rows, columns, *box.shape(taps))
