"""What the checker makes of right programs: ranges, shapes, calls, names, text."""

from __future__ import annotations

import pytest
from check_cases import outcome, read_arguments, typed

from polydsl.base.diagnostics import ArgumentError, ProgramError
from polydsl.base.source import Source
from polydsl.semantics.check import check_module
from polydsl.semantics.library import Imported, Library
from polydsl.semantics.program import Program
from polydsl.semantics.prune import drop_unused
from polydsl.semantics.render import render, render_expr
from polydsl.semantics.signature import signature
from polydsl.semantics.specialize import specialize
from polydsl.semantics.verify import verify_program
from polydsl.syntax.parser import parse


def load(text: str, **imports: Imported) -> Library:
    return check_module(parse(Source("k.pdl", text)), imports)


def kernel(header: str, body: str, arguments: str) -> Program:
    """Specialise `kernel f(header)` with the lines of a body."""
    name, _, result = header.partition("->")
    arrow = f" -> {result.strip()}" if result else ""
    lines = "".join(f"    {line.strip()}\n" for line in body.strip().splitlines())
    return typed(f"kernel f({name.strip()}){arrow}:\n{lines}", arguments)


def ranges(program: Program) -> dict[str, str]:
    return {r.name: f"{render_expr(r.lo)}..{render_expr(r.hi)}" for r in program.ranges}


CONV = '''
"""Convolutions."""

kernel conv2d_relu(x: f32[N, C, H, W], w: f32[K, C, R, S], b: f32[K],
                   *, stride: int = 1, padding: int = 0) -> f32[N, K, P, Q]:
    """NCHW convolution, zero padded, fused with bias and ReLU."""
    P = (H + 2*padding - R) // stride + 1
    Q = (W + 2*padding - S) // stride + 1
    y[n, k, p, q] += pad(x[n, c, p*stride + r - padding, q*stride + s - padding]) \
* w[k, c, r, s]
    z[n, k, p, q] = relu(y[n, k, p, q] + b[k])
    return z
'''.replace("\\\n", "")

CONV_TEXT = """\
kernel conv2d_relu(x, w, b)
sizes
  N = 1
  C = 2
  H = 7
  W = 6
  K = 4
  R = 3
  S = 3
  stride = 2
  padding = 1
  P = 4
  Q = 3
tensors
  x: f32[N, C, H, W]  # parameter, 1x2x7x6
  w: f32[K, C, R, S]  # parameter, 4x2x3x3
  b: f32[K]           # parameter, 4
  y: f32[N, K, P, Q]  # inferred, 1x4x4x3
  z: f32[N, K, P, Q]  # result, local, 1x4x4x3
indices
  n in range(0, N)
  k in range(0, K)
  p in range(0, P)
  q in range(0, Q)
  c in range(0, C)
  r in range(0, R)
  s in range(0, S)
statements
  y[n, k, p, q] += pad(x[n, c, p*stride + r - padding, q*stride + s - padding], 0.0)\
*w[k, c, r, s]  # sums over c, r, s in f32
  z[n, k, p, q] = relu(y[n, k, p, q] + b[k])
return z"""


def test_convolution() -> None:
    program = typed(
        CONV, "x=f32[1, 2, 7, 6], w=f32[4, 2, 3, 3], b=f32[4], stride=2, padding=1"
    )
    assert render(program) == CONV_TEXT
    assert program.extents("z") == (1, 4, 4, 3)
    assert dict(program.binding)["P"] == 4


# Names and sizes


def test_a_size_expression_in_a_parameter_is_only_checked() -> None:
    header = "w: f32[G, M], x: f32[2*M, C // G, 3], c: f32[C] -> f32[M]"
    program = kernel(
        header, "y[i] = w[0, i]\nreturn y", "w=f32[2, 5], x=f32[10, 3, 3], c=f32[6]"
    )
    assert program.extents("x") == (10, 3, 3)
    assert render_expr(program.tensor("x").shape[0]) == "2*M"


def test_a_constant_in_a_dimension_is_checked() -> None:
    header = "x: f32[N, k], *, k: int -> f32[N]"
    kernel(header, "y[i] = x[i, 0]\nreturn y", "x=f32[4, 3], k=3")
    with pytest.raises(ArgumentError, match="its dimension 1 is 4, not 3"):
        kernel(header, "y[i] = x[i, 0]\nreturn y", "x=f32[4, 4], k=3")


def test_a_size_definition_may_stand_anywhere() -> None:
    body = "y[p] = x[2*p]\nP = Q - 1\nQ = N // 2\nreturn y"
    program = kernel("x: f32[N] -> f32[P]", body, "x=f32[8]")
    assert program.extents("y") == (3,)


def test_a_dtype_variable_may_share_the_name_of_a_size() -> None:
    program = kernel("x: N[N] -> N[N]", "y[i] = x[i]\nreturn y", "x=i8[4]")
    assert program.tensor("y").dtype.name == "i8"


def test_a_declared_scalar_is_no_size() -> None:
    program = kernel("x: f32[N]", "n: i64\nn = 2*N\nreturn n", "x=f32[4]")
    assert program.tensor("n").rank == 0


def test_a_scalar_expression_with_a_float_is_a_tensor() -> None:
    program = kernel("x: f32[N]", "s = 1 / N\ny[i] = x[i] * s\nreturn y", "x=f32[4]")
    assert program.tensor("s").dtype.name == "f64"


def test_kernels_may_have_the_names_of_operators() -> None:
    text = (
        "kernel add(a: f32[N]) -> f32[N]:\n    y[i] = a[i] + 1\n    return y\n"
        "kernel f(x: f32[N]) -> f32[N]:\n    y = add(x)\n    return y\n"
    )
    assert outcome(text, "x=f32[3]") == ""


@pytest.mark.parametrize("lead", ["", "2, ", "2, 3, 4, "])
def test_dots_stand_for_any_number_of_dimensions(lead: str) -> None:
    header = "x: T[..., N] -> T[..., N]"
    body = """
        m[...] = max[i](x[..., i])
        y[..., i] = exp(x[..., i] - m[...])
        return y
    """
    program = kernel(header, body, f"x=f64[{lead}5]")
    count = lead.count(",")
    assert program.tensor("m").rank == count
    assert program.tensor("y").rank == count + 1
    assert program.extents("y") == program.extents("x")


def test_dots_that_are_not_on_the_left_are_summed() -> None:
    program = kernel("x: f32[..., N]", "y[i] += x[..., i]\nreturn y", "x=f32[2, 3, 5]")
    (definition,) = program.definitions
    assert len(definition.reduced) == 2


# Ranges, in order of priority


def test_a_declared_range_comes_first() -> None:
    header = "x: f32[N], w: f32[M]"
    body = "i in range(1, N - 1)\ny[i] = x[i] + w[i]\nreturn y"
    program = kernel(header, body, "x=f32[6], w=f32[9]")
    assert ranges(program) == {"i": "1..N - 1"}
    assert render_expr(program.tensor("y").shape[0]) == "N - 1"


def test_a_plain_access_comes_before_one_inside_pad() -> None:
    body = "y[i] = pad(w[i]) + x[i]\nreturn y"
    program = kernel("x: f32[N], w: f32[M]", body, "x=f32[6], w=f32[9]")
    assert ranges(program) == {"i": "0..N"}


def test_a_plain_access_comes_before_an_arm_of_an_affine_condition() -> None:
    body = "y[i] = (w[i] if i < M else 0) + x[i]\nreturn y"
    program = kernel("x: f32[N], w: f32[M]", body, "x=f32[6], w=f32[3]")
    assert ranges(program) == {"i": "0..N"}


def test_an_arm_of_a_condition_on_data_is_a_plain_access() -> None:
    text = outcome(
        "kernel f(x: f32[N], w: f32[M]):\n"
        "    y[i] = (w[i] if x[0] > 0 else 0) + x[i]\n    return y\n",
        "x=f32[6], w=f32[3]",
    )
    assert "error[E0204]: the index i has two ranges" in text


def test_a_condition_restricts_what_stands_behind_it() -> None:
    body = "y[i] = x[i] + (1 if i < M and m[i] else 0)\nreturn y"
    program = kernel("x: f32[N], m: bool[M]", body, "x=f32[6], m=bool[3]")
    assert ranges(program) == {"i": "0..N"}


def test_an_index_tensor_inside_pad_is_an_ordinary_access() -> None:
    body = "y[n] = pad(t[ids[n]]) + pad(t[n])\nreturn y"
    program = kernel("t: f32[V], ids: i32[N]", body, "t=f32[9], ids=i32[4]")
    assert ranges(program) == {"n": "0..N"}


def test_the_shape_of_a_returned_tensor_gives_ranges() -> None:
    program = kernel("x: f32[N] -> f32[N, 3]", "y[i, j] = x[i]\nreturn y", "x=f32[6]")
    assert ranges(program) == {"i": "0..N", "j": "0..3"}


def test_the_shape_of_a_local_comes_last() -> None:
    body = """
        t[i] = x[i] * 2
        y[j] = t[j] + 1
        s += t[k] * pad(x[k])
        return y, s
    """
    program = kernel("x: f32[N]", body, "x=f32[6]")
    assert ranges(program) == {"i": "0..N", "j": "0..N", "k": "0..N"}


def test_ranges_follow_one_another_against_the_order_of_the_text() -> None:
    body = "y[j] = t[j] + 1\nt[i] = u[i] * 2\nu[k] = x[k]\nreturn y"
    program = kernel("x: f32[N]", body, "x=f32[6]")
    assert ranges(program) == {"k": "0..N", "i": "0..N", "j": "0..N"}


def test_sources_of_one_rank_agree_in_numbers() -> None:
    body = "y[i] = x[i] + w[i]\nreturn y"
    assert kernel("x: f32[N], w: f32[M]", body, "x=f32[6], w=f32[6]")


# Dependent ranges and shapes


def test_a_triangle() -> None:
    body = """
        j in range(max(0, i - W + 1), i + 1)
        t[i, j] = x[i] * x[j]
        y[i] += t[i, j]
        z[j] += x[i]
        return y, z
    """
    program = kernel("x: f32[N], *, W: int", body, "x=f32[8], W=3")
    assert ranges(program) == {"i": "0..N", "j": "max(0, i - W + 1)..i + 1"}
    assert program.extents("t") == (8, 8)
    # The projection of the triangle, by interval arithmetic.
    assert [render_expr(e) for e in program.tensor("z").shape] == ["N"]


@pytest.mark.parametrize(
    ("bounds", "extent"),
    [
        ("range(N - i)", 8),
        ("range(i, N)", 8),
        ("range(0, 2*i + 1)", 15),
        ("range(0, i // 2 + 1)", 4),
        ("range(0, i % 3 + 1)", 3),
        ("range(0, min(i, 4))", 4),
        ("range(0, max(i, 10))", 10),
        ("range(0, (N - i) * 2 - i)", 16),
        ("range(i * 0, 3)", 3),
    ],
)
def test_extents_are_greatest_upper_bounds(bounds: str, extent: int) -> None:
    body = f"j in {bounds}\nt[i, j] = x[i] * j\ny[i] += t[i, j]\nreturn y, t"
    program = kernel("x: f32[N]", body, "x=f32[8]")
    assert program.extents("t") == (8, extent)


def test_several_statements_of_a_tensor_span_its_shape() -> None:
    body = "y[i] += x[i]\ny[j] += w[j]\nreturn y"
    program = kernel("x: f32[N], w: f32[M]", body, "x=f32[3], w=f32[5]")
    assert render_expr(program.tensor("y").shape[0]) == "max(N, M)"
    assert program.extents("y") == (5,)


def test_empty_extents() -> None:
    body = "j in range(i - 1)\nt[i, j] = x[i]\ny[i] += t[i, j]\nreturn y"
    assert kernel("x: f32[N]", body, "x=f32[0]").extents("t") == (0, 0)
    assert kernel("x: f32[N]", body, "x=f32[1]").extents("t") == (1, 0)


# Reductions that hide indices


def test_a_reduction_hides_an_outer_index() -> None:
    body = "y[i, j] = x[i, j] / sum[j](x[i, j])\nreturn y"
    program = kernel("x: f32[N, M]", body, "x=f32[2, 3]")
    (definition,) = program.definitions
    assert render_expr(definition.value) == "x[i, j] / sum[j_1](x[i, j_1])"
    assert ranges(program)["j_1"] == "0..M"


def test_a_reduction_hides_a_summed_index() -> None:
    program = kernel("x: f32[N]", "s += x[i] * sum[i](x[i])\nreturn s", "x=f32[3]")
    (definition,) = program.definitions
    assert definition.reduced == ("i",)
    assert render_expr(definition.value) == "x[i]*sum[i_1](x[i_1])"


def test_reductions_side_by_side_share_a_name() -> None:
    body = "y = sum[i](x[i]) * max[i](x[i])\nreturn y"
    assert ranges(kernel("x: f32[N]", body, "x=f32[3]")) == {"i": "0..N"}


def test_what_depends_on_a_hidden_index_follows_it() -> None:
    body = """
        j in range(0, i + 1)
        y[i] = x[i] / sum[i](sum[j](x[i] * x[j]))
        return y
    """
    program = kernel("x: f32[N]", body, "x=f32[3]")
    (definition,) = program.definitions
    assert "sum[i_1](sum[j_1](x[i_1]*x[j_1]))" in render_expr(definition.value)
    assert ranges(program)["j_1"] == "0..i_1 + 1"


# Calls


SOFTMAX = """
kernel softmax(x: T[..., N]) -> T[..., N]:
    m[...] = max[i](x[..., i])
    e[..., i] = exp(x[..., i] - m[...])
    y[..., i] = e[..., i] / sum[i](e[..., i])
    return y

kernel attention(q: f32[N, D], k: f32[M, D], v: f32[M, E]) -> f32[N, E]:
    s[i, j] += q[i, d] * k[j, d]
    p = softmax(s)
    o[i, e] += p[i, j] * v[j, e]
    return o
"""

ATTENTION_TEXT = """\
kernel attention(q, k, v)
sizes
  N = 4
  D = 8
  M = 5
  E = 3
tensors
  q: f32[N, D]            # parameter, 4x8
  k: f32[M, D]            # parameter, 5x8
  v: f32[M, E]            # parameter, 5x3
  s: f32[N, M]            # inferred, 4x5
  p: f32[N, M]            # local, 4x5
  o: f32[N, E]            # result, local, 4x3
  softmax_1_m: f32[N]     # inferred, 4
  softmax_1_e: f32[N, M]  # inferred, 4x5
indices
  i in range(0, N)
  j in range(0, M)
  d in range(0, D)
  e in range(0, E)
  softmax_1_lead_1 in range(0, N)
  softmax_1_i in range(0, M)
  softmax_1_i_1 in range(0, M)
statements
  s[i, j] += q[i, d]*k[j, d]  # sums over d in f32
  softmax_1_m[softmax_1_lead_1] = max[softmax_1_i](s[softmax_1_lead_1, softmax_1_i])
  softmax_1_e[softmax_1_lead_1, softmax_1_i] = exp(s[softmax_1_lead_1, softmax_1_i] - \
softmax_1_m[softmax_1_lead_1])
  p[softmax_1_lead_1, softmax_1_i] = softmax_1_e[softmax_1_lead_1, softmax_1_i] / \
sum[softmax_1_i_1](softmax_1_e[softmax_1_lead_1, softmax_1_i_1])
  o[i, e] += p[i, j]*v[j, e]  # sums over j in f32
return o"""


def test_a_call_is_inlined() -> None:
    program = typed(SOFTMAX, "q=f32[4, 8], k=f32[5, 8], v=f32[5, 3]")
    lines = [line.rstrip() for line in render(program).splitlines()]
    wanted = ATTENTION_TEXT.splitlines()
    assert [" ".join(x.split()) for x in lines] == [" ".join(x.split()) for x in wanted]
    assert [(p.tensor, p.span.text) for p in program.passed] == [
        ("s", "p = softmax(s)")
    ]
    calls = {d.tensor: [s.text for s in d.calls] for d in program.definitions}
    assert calls["s"] == []
    assert calls["p"] == calls["softmax_1_e"] == ["p = softmax(s)"]
    assert {d.span.line for d in program.definitions} == {3, 4, 5, 9, 11}


NESTED = """
kernel shift(x: f32[N], *, by: int = 1, scale: float = 2.0) -> f32[P]:
    P = N - by
    y[i] = scale * x[i + by]
    return y

kernel twice(x: f32[N], *, by: int) -> f32[Q]:
    Q = N - 2*by
    a = shift(x, by=by, scale=1 / sqrt(N))
    b = shift(x=a, by=by)
    return b

kernel top(x: f32[M]):
    u = twice(x, by=M // 4)
    v = twice(u, by=1)
    return u, v
"""


def test_calls_in_calls() -> None:
    program = typed(NESTED, "x=f32[16]")
    assert program.extents("u") == (8,)
    assert program.extents("v") == (6,)
    assert dict(program.binding)["shift_1_scale"] == 0.25
    assert [len(d.calls) for d in program.definitions] == [2, 2, 2, 2]
    first = program.definitions[0]
    assert [span.text for span in first.calls] == [
        "u = twice(x, by=M // 4)",
        "a = shift(x, by=by, scale=1 / sqrt(N))",
    ]
    assert render_expr(first.value) == "(shift_1_scale : f32)*x[shift_1_i + M // 4]"


def test_every_name_of_a_program_is_an_identifier_and_unique() -> None:
    text = NESTED.replace("kernel top", "kernel shift_1").replace("u =", "twice_1_a =")
    text = text.replace("twice(u", "twice(twice_1_a").replace("return u", "return x")
    program = typed(text, "x=f32[16]")
    verify_program(program)
    names = [t.name for t in program.tensors] + [r.name for r in program.ranges]
    assert all(name.isidentifier() and name.isascii() for name in names)


def test_several_results_of_a_call() -> None:
    text = """
kernel stats(x: T[N]) -> (T, T):
    lo = min[i](x[i])
    hi = max[i](x[i])
    return lo, hi

kernel f(x: i8[N]):
    a, b = stats(x)
    y[i] = (x[i] - a) / (b - a)
    return y
"""
    program = typed(text, "x=i8[4]")
    assert program.tensor("a").dtype.name == "i8"
    assert program.tensor("y").dtype.name == "f32"


def test_a_callee_that_returns_its_parameter() -> None:
    text = (
        "kernel same(x: T[N]):\n    return x, x\n"
        "kernel f(x: f32[N]):\n    a, b = same(x)\n    y[i] = a[i] + b[i]\n"
        "    return y\n"
    )
    program = typed(text, "x=f32[4]")
    assert [d.tensor for d in program.definitions] == ["a", "b", "y"]


def test_results_are_distinct_locals() -> None:
    program = kernel("x: f32[N], s: f32", "return x, x, s", "x=f32[3], s=f32")
    verify_program(program)
    assert len(set(program.results)) == 3


def test_imports() -> None:
    gates = load(
        "kernel swish(x: T[N]) -> T[N]:\n    y[i] = silu(x[i])\n    return y\n"
    )
    text = "kernel f(x: f32[N]) -> f32[N]:\n    y = act(x)\n    return y\n"
    library = load(text, act=Imported("swish", gates))
    program = specialize(library, "f", *read_arguments("x=f32[3]"))
    assert [d.tensor for d in program.definitions] == ["y"]
    direct = specialize(library, "act", *read_arguments("x=f64[3]"))
    assert direct.name == "swish"
    with pytest.raises(ProgramError, match="there is no kernel or function act"):
        load(text)


def test_an_import_and_a_kernel_of_one_name() -> None:
    text = "kernel f(x: f32[N]) -> f32[N]:\n    y[i] = x[i]\n    return y\n"
    with pytest.raises(ProgramError) as caught:
        load(text, f=Imported("f", load(text)))
    assert caught.value.diagnostics[0].code == "E0411"
    assert caught.value.diagnostics[0].label == "f is imported already"


# Arguments of the specialisation

SIGNATURE = (
    "kernel f(x: T[..., N], w: T[N, K], s: f32, *, k: int, e: float = 1.5, "
    "b: bool = False) -> T[..., P]:\n"
    "    P = K // k\n"
    "    p in range(P)\n"
    "    y[..., p] += x[..., n] * w[n, p*k] * s\n"
    "    return y\n"
)
GOOD = "x=f32[2, 3], w=f32[3, 4], s=f32, k=2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("x=f32[2, 3], w=f32[3, 4], k=2", "f needs s: f32, which is missing"),
        (
            "x=f32[2, 3], w=f32[3, 4], s=f32",
            "f needs the constant k: int, which is missing",
        ),
        (f"{GOOD}, z=f32[1]", "f has no parameter z; it has x, w, s, k, e, b"),
        (
            "x=f32[2, 3], w=f64[3, 4], s=f32, k=2",
            "f needs w: T[N, K], and f64[3, 4] came: its dtype is f64, not T (f32, "
            "from an argument before it)",
        ),
        (
            "x=f32[2, 3], w=f32[3, 4], s=f64, k=2",
            "f needs s: f32, and f64 came: its dtype is f64, not f32",
        ),
        (
            "x=f32[2, 3], w=f32[3], s=f32, k=2",
            "f needs w: T[N, K], and f32[3] came: it has 1 dimension, not 2",
        ),
        (
            "x=f32, w=f32[3, 4], s=f32, k=2",
            "f needs x: T[..., N], and f32 came: it has 0 dimensions, not 1 or more",
        ),
        (
            "x=f32[2, 3], w=f32[5, 4], s=f32, k=2",
            "f needs w: T[N, K], and f32[5, 4] came: its dimension 0 is 5, but N is 3 "
            "(dimension 1 of x)",
        ),
        (f"{GOOD[:-1]}2.5", "f needs k: int, and 2.5 (float) came"),
        (f"{GOOD[:-1]}True", "f needs k: int, and True (bool) came"),
        (f"{GOOD}, b=1", "f needs b: bool, and 1 (int) came"),
        (
            f"{GOOD[:-1]}0",
            "f cannot take these arguments: the size P divides by zero",
        ),
        (
            f"{GOOD[:-1]}-3",
            "f cannot take these arguments: the extent of dimension 1 of y is -2, "
            "which is negative",
        ),
    ],
)
def test_argument_errors(arguments: str, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        typed(SIGNATURE, arguments)
    assert str(caught.value) == message


def test_an_unknown_kernel() -> None:
    with pytest.raises(ArgumentError, match=r"there is no kernel g; did you mean gg\?"):
        specialize(load(SIGNATURE.replace(" f(", " gg(")), "g", {}, {})


def test_defaults_and_integers_for_floats() -> None:
    binding = dict(typed(SIGNATURE, f"{GOOD}, e=3").binding)
    assert (binding["e"], binding["b"], binding["k"]) == (3.0, False, 2)
    assert isinstance(binding["e"], float)


def test_errors_of_a_specialisation_name_its_types() -> None:
    text = "kernel f(x: T[N]) -> T[N]:\n    y[i] = sqrt(x[i])\n    return y\n"
    with pytest.raises(ProgramError) as caught:
        typed(text, "x=i32[3]")
    (error,) = caught.value.diagnostics
    assert error.message == "f32 is stored in y, which is i32 (with T = i32)"


# Signatures, warnings, pruning


def test_signature() -> None:
    library = load(SIGNATURE)
    found = signature(library, library.kernels["f"])
    assert str(found) == (
        "f(x: T[..., N], w: T[N, K], s: f32, *, k: int, e: float = 1.5, "
        "b: bool = False) -> T[..., P]"
    )
    assert [t.is_scalar for t in found.tensors] == [False, False, True]
    assert found.tensors[0].dtype is None
    assert found.result_names == ("y",)


def test_drop_unused() -> None:
    body = """
        u[j] = w[j] + 1
        j in range(M)
        t[i] = x[i] * 2
        y[i] = t[i]
        return y
    """
    program = kernel("x: f32[N], w: f32[M]", body, "x=f32[3], w=f32[2]")
    assert [d.tensor for d in program.definitions] == ["u", "t", "y"]
    kept = drop_unused(program)
    verify_program(kept)
    assert [d.tensor for d in kept.definitions] == ["t", "y"]
    assert [t.name for t in kept.tensors] == ["x", "w", "t", "y"]
    assert [r.name for r in kept.ranges] == ["i"]
    assert drop_unused(kept) == kept


def test_no_warning_without_a_repeated_term() -> None:
    text = (
        "kernel f(x: f32[N, K], w: f32[K], b: f32[N]) -> f32[N]:\n"
        "    y[n] += x[n, k] * w[k] + w[k]\n    y[n] += b[n] + 1\n    return y\n"
    )
    assert outcome(text, "") == ""
