"""Deliberate bugs of the compiler, each an edit of one place of one file.

`checks` names what is run against it (`mutants.CHECKS`). A bug of the schedule or the
loops should be found by the proofs that run on every compilation; with `unproved`, the
tests have to find it without them too. What only the cost model would notice is no bug:
plans that cost more are as right as others.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """A bug: in which layer, what it is, and the edit that makes it."""

    layer: str
    what: str
    file: str
    old: str
    new: str
    checks: str = "programs"
    unproved: bool = False


MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "semantics",
        "an integer and a float meet in the wider of the two",
        "polydsl/base/dtypes.py",
        "        return left if left.is_float else right\n",
        "        return left if left.bits >= right.bits else right\n",
        "types",
    ),
    Mutation(
        "semantics",
        "a range that leaves out its start begins at 0",
        "polydsl/poly/drafts.py",
        "                self.box[r.name] = (lo, hi - 1)\n",
        "                self.box[r.name] = (min(lo, 0), hi - 1)\n",
    ),
    Mutation(
        "extract",
        "a product starts from 0",
        "polydsl/base/functions.py",
        '        case "mul" | "and":\n            return 1\n',
        '        case "mul" | "and":\n            return 0\n',
    ),
    Mutation(
        "extract",
        "a maximum starts from 0",
        "polydsl/base/functions.py",
        "return -math.inf if dtype.is_float else dtype.least",
        "return 0",
    ),
    Mutation(
        "extract",
        "a narrow sum is rounded before it is complete",
        "polydsl/poly/extract.py",
        "    if dtype != tensor.dtype:\n",
        "    if dtype.is_float and dtype != tensor.dtype:\n",
    ),
    Mutation(
        "extract",
        "the second arm of a condition is restricted like the first",
        "polydsl/poly/conditions.py",
        "        return (condition,), (negated,)\n",
        "        return (condition,), (condition,)\n",
    ),
    Mutation(
        "extract",
        "a mean divides by one point less",
        "polydsl/poly/reductions.py",
        "extents = (drafts.box[i][1] - drafts.box[i][0] + 1 for i in expr.indices)",
        "extents = (drafts.box[i][1] - drafts.box[i][0] for i in expr.indices)",
    ),
    Mutation(
        "prove",
        "the last element may be passed by one",
        "polydsl/poly/prove.py",
        "        if lo >= 0 and hi < extent:\n",
        "        if lo >= 0 and hi <= extent:\n",
        "errors",
    ),
    Mutation(
        "prove",
        "what is read need not be defined",
        "polydsl/poly/prove.py",
        "    return distinct and [box[name] for name in plain] == whole\n",
        "    return distinct\n",
        "errors",
    ),
    Mutation(
        "dependences",
        "tensors are computed in the order in which they are written",
        "polydsl/poly/dependences.py",
        "if not _needs(group) & pending.keys()\n",
        "if t not in _needs(group)\n",
    ),
    Mutation(
        "dependences",
        "flow between statements is not seen",
        "polydsl/poly/dependences.py",
        "        if read.access.tensor == earlier.tensor and not same:\n",
        "        if read.access.tensor == earlier.tensor and same:\n",
        "legality",
    ),
    Mutation(
        "legality",
        "a loop that runs backward is legal",
        "polydsl/schedule/legality.py",
        "isl_name(d) in self.precedence.equal or d not in self.source[0].dims\n",
        "True or d not in self.source[0].dims\n",
        "legality",
    ),
    Mutation(
        "contraction",
        "an index of one factor and the result is a sum",
        "polydsl/schedule/contraction.py",
        '        (True, True, False): "rows",\n',
        '        (True, True, False): "depth",\n',
        unproved=True,
    ),
    Mutation(
        "contraction",
        "a group may have a partial last part",
        "polydsl/schedule/contraction.py",
        "        if lo != 0 or extent % divisor:\n",
        "        if lo != 0:\n",
        unproved=True,
    ),
    Mutation(
        "contraction",
        "any update is a sum",
        "polydsl/schedule/inner_product.py",
        "    return InnerProduct(combine, function), (first, second)\n",
        '    return InnerProduct("add", function), (first, second)\n',
        unproved=True,
    ),
    Mutation(
        "contraction",
        "exchanged factors keep their function",
        "polydsl/schedule/contraction.py",
        "            inner=self.inner.exchanged(),\n",
        "            inner=self.inner,\n",
        unproved=True,
    ),
    Mutation(
        "flattening",
        "indices whose step differs are flattened",
        "polydsl/schedule/operand.py",
        "        if offset.coefficient(d) != expected:\n",
        "        if offset.coefficient(d) < expected:\n",
        unproved=True,
    ),
    Mutation(
        "copies",
        "a padded copy is read one element further on",
        "polydsl/schedule/copies.py",
        "        Linear(s.coefficients, s.constant - lo)\n",
        "        Linear(s.coefficients, s.constant - lo + 1)\n",
        unproved=True,
    ),
    Mutation(
        "copies",
        "the last tile of a packed factor is not copied",
        "polydsl/schedule/copies.py",
        "        stored = ((number, part.side.tiles),)\n",
        "        stored = ((number, max(1, part.side.full)),)\n",
        unproved=True,
    ),
    Mutation(
        "copies",
        "a copy of several tiles is one tile short",
        "polydsl/schedule/copies.py",
        "    axes = _Axes(around, ((number, part.tiles),), limits)\n",
        "    axes = _Axes(around, ((number, part.tiles - 1),), limits)\n",
        "points",
    ),
    Mutation(
        "row tables",
        "the first row below the tensor counts as inside",
        "polydsl/loops/row_tables.py",
        "            inside = inside & (at >= 0) & (at < extent)\n",
        "            inside = inside & (at >= 0) & (at <= extent)\n",
        unproved=True,
    ),
    Mutation(
        "row tables",
        "every tile has the base of the first one",
        "polydsl/loops/row_tables.py",
        "        bases.append(base)\n",
        "        bases.append(int(place[0, 0]))\n",
        unproved=True,
    ),
    Mutation(
        "matrix loops",
        "the last tile of an axis is forgotten",
        "polydsl/loops/matrix.py",
        "        yield at_least(at, full), side.rest\n",
        "",
        unproved=True,
    ),
    Mutation(
        "matrix loops",
        "each block of the reduction starts from zero",
        "polydsl/loops/matrix.py",
        "replace(tile, taps=taps, depth=depth))",
        "replace(tile, taps=taps, depth=depth, accumulate=not starts))",
        unproved=True,
    ),
    Mutation(
        "matrix loops",
        "the depth does not tell the first block",
        "polydsl/loops/matrix.py",
        "looped = [a for a in summed if",
        "looped = [a for a in summed[:1] if",
        unproved=True,
    ),
    Mutation(
        "matrix loops",
        "one point of the last tile is left",
        "polydsl/loops/matrix.py",
        "        yield at_least(at, full), side.rest\n",
        "        yield at_least(at, full), 1\n",
        unproved=True,
    ),
    Mutation(
        "vector loops",
        "the elements after the last register tile are left out",
        "polydsl/schedule/vector_builder.py",
        "(tiles - large, small * unit)",
        "(tiles - large - 1, small * unit)",
        unproved=True,
    ),
    Mutation(
        "vector loops",
        "an accumulator goes on from what is in the tensor",
        "polydsl/loops/vector_tile.py",
        "        if initialize is None:\n",
        "        if group.updates:\n",
        unproved=True,
    ),
    Mutation(
        "vector loops",
        "a border that is cut off begins one point too late",
        "polydsl/schedule/vector_builder.py",
        "            start = run.start + a * run.size\n",
        "            start = run.start + a * run.size + (a > 0)\n",
        unproved=True,
    ),
    Mutation(
        "vector loops",
        "the points of an unrolled index are all the first one",
        "polydsl/loops/vector_tile.py",
        "                values[d] = plus(values[d], offset)\n",
        "                values[d] = plus(values[d], times(offset, 0))\n",
        unproved=True,
    ),
    Mutation(
        "emitter",
        "padding is taken where the tensor is",
        "backend/emitter/padding.py",
        "builder.select(conjunction(builder, same), place, line)",
        "builder.select(conjunction(builder, same), line, line)",
    ),
    Mutation(
        "expressions",
        "one element of padding is read from memory",
        "polydsl/loops/expressions.py",
        "            if least < lo:\n",
        "            if least < lo - 1:\n",
        unproved=True,
    ),
    Mutation(
        "proofs",
        "an instance need not be executed",
        "polydsl/loops/verify_cover.py",
        "    if hit < total:\n",
        "    if hit < 0:\n",
        "proofs",
    ),
    Mutation(
        "emitter",
        "the mask of a tail is dropped",
        "backend/emitter/vector.py",
        "emit(full, Mask(ir.Constant(ir.VectorType(I1, plan.lanes), active), rest))",
        "emit(full)",
        "guards",
    ),
    Mutation(
        "emitter",
        "a reversed vector is read in order",
        "backend/emitter/lane_memory.py",
        "    loaded = load_vector(lanes.scope, buffer, place, count, backward)\n"
        "    picks = [active - 1 - i if i < active",
        "    loaded = load_vector(lanes.scope, buffer, place, count, backward)\n"
        "    picks = [i if i < active",
    ),
    Mutation(
        "emitter",
        "threads skip their last iteration",
        "backend/emitter/parallel.py",
        "    return edge(number_of), edge(following)\n",
        "    return edge(number_of), add(builder, edge(following), I64(-loop.step))\n",
    ),
    Mutation(
        "microkernel",
        "the tile is added to what was there",
        "backend/microkernel_body.py",
        "            if body.spec.accumulate:\n",
        "            if body.spec.accumulate or body.spec.rows == 1:\n",
    ),
    Mutation(
        "microkernel",
        "every accumulator starts from 0",
        "backend/microkernel_terms.py",
        "identity(body.spec.inner.combine, body.spec.dtype)",
        "0.0",
    ),
    Mutation(
        "microkernel",
        "sets of accumulators are added, whatever combines them",
        "backend/microkernel_terms.py",
        "    return _apply(body, body.spec.inner.combine, (first, second))\n",
        '    return _apply(body, "add", (first, second))\n',
    ),
    Mutation(
        "microkernel",
        "steps of the depth use the first column again",
        "backend/microkernel_body.py",
        "        b = element_address(builder, body.row, column, i * spec.b_depth)\n",
        "        b = element_address(builder, body.row, column, 0)\n",
    ),
    Mutation(
        "casts",
        "integers without a sign are widened with one",
        "backend/casts.py",
        "        extend = builder.sext if source.signed else builder.zext\n",
        "        extend = builder.sext\n",
    ),
    Mutation(
        "casts",
        "narrow integers wrap around instead of saturating",
        "backend/casts.py",
        "    if source.greatest > target.greatest:\n",
        "    if source.greatest > target.greatest and target.bits > 8:\n",
    ),
    Mutation(
        "functions",
        "the last coefficient of 2/sqrt(pi) in erf is lost",
        "backend/normal.py",
        "    return slope.plus_low(bend.lo + rest).times(x).rounded()\n",
        "    return slope.plus_low(bend.lo - rest * 64.0).times(x).rounded()\n",
        "functions",
    ),
    Mutation(
        "functions",
        "the reduced argument of exp loses its low part",
        "backend/exponential.py",
        "    rest = (r * r).fma(polynomial(r, EXP[f.name]), -tail)\n",
        "    rest = (r * r).fma(polynomial(r, EXP[f.name]), tail)\n",
        "functions",
    ),
    Mutation(
        "cache",
        "the digest of an entry is not compared",
        "backend/cache.py",
        "hashlib.sha256(body).digest() != digest:",
        "len(digest) != _DIGEST:",
        "cache",
    ),
    Mutation(
        "cache",
        "entries for other strides are the same",
        "polydsl/driver/request.py",
        'f"{n} {a.dtype} {a.shape} {a.strides}" for n, a in self.arguments',
        'f"{n} {a.dtype} {a.shape}" for n, a in self.arguments',
        "layouts",
    ),
    Mutation(
        "arguments",
        "strides of a passed array are not compared",
        "backend/call.py",
        "yield ANY if extent <= 1 or is_empty else stride * dtype.itemsize",
        "yield ANY",
        "calls",
    ),
    Mutation(
        "arguments",
        "what is bound is not copied",
        "polydsl/driver/kernel.py",
        "        copies = {name: array.copy() for name, array in tensors.items()}\n",
        "        copies = {name: array[...] for name, array in tensors.items()}\n",
        "layouts",
    ),
    Mutation(
        "oracle",
        "the rounding of long sums is forgotten",
        "polydsl/semantics/oracle/accumulators.py",
        "[(self._size, partial.size), (self._error, partial.error)]\n"
        "        for own, new in pairs:\n"
        "            block = own[at] if at else own\n",
        "[(self._error, partial.error)]\n"
        "        for own, new in pairs:\n"
        "            block = own[at] if at else own\n",
        "oracle",
    ),
    Mutation(
        "oracle",
        "a result may be wrong by far",
        "polydsl/semantics/oracle/compare.py",
        "    if margin.ratio > 1:\n",
        "    if margin.ratio > 1e9:\n",
        "oracle",
    ),
)
