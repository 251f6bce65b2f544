"""Python functions as kernels: their text, their places, what is refused."""

from __future__ import annotations

import functools
import importlib.util
import linecache
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from polydsl.base.diagnostics import ArgumentError, PolydslError, ProgramError
from polydsl.base.source import Source
from polydsl.syntax import ast
from polydsl.syntax.host import parse_function, source_of
from polydsl.syntax.parser import parse

Function = Callable[..., Any]


def tagged(*names: object, **options: object) -> Callable[[Function], Function]:
    """A decorator that leaves the function as it is."""
    return lambda function: function


def plain(x: f32[N], y: "f32[N]") -> f32[N]:  # noqa: UP037
    """A docstring."""
    # a comment
    z[i] = x[i] + y[i]
    return z


# fmt: off
@tagged(1, text="def no(x): pass")
# def neither
@tagged(
    [
        2,
    ],
    names={"def": 3},
)

def decorated(x: f32[N, M],
              *, c: int = 2,
              ) -> "(f32[N], f32[M])":  # noqa: UP037
    a[i] += x[i,
  j] * c
    return a, a


class Layer:
    @staticmethod
    @tagged()
    def nested(x: f32[N]):
        """First
    second."""
        y[i] = x[i]

# at the margin
        return y
# fmt: on


def test_a_plain_function() -> None:
    source = source_of(plain)
    assert source.name == __file__
    assert source.first_line == plain.__code__.co_firstlineno
    assert source.text.startswith("def plain(")
    assert source.text.rstrip().endswith("return z")
    (kernel,) = parse_function(plain).kernels
    assert kernel.name.name == "plain"
    assert kernel.docstring == "A docstring."
    assert [type(s).__name__ for s in kernel.body] == ["Assign", "Return"]


def test_decorators_and_long_signatures() -> None:
    source = source_of(decorated)
    assert source.text.startswith("def decorated(x: f32[N, M],\n")
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    assert lines[source.first_line - 1].startswith("def decorated(")
    (kernel,) = parse_function(decorated).kernels
    assert [c.name.name for c in kernel.constants] == ["c"]
    assert kernel.results is not None
    assert len(kernel.results) == 2


def test_an_indented_function_keeps_its_columns() -> None:
    source = source_of(Layer.nested)
    assert source.text.startswith("    def nested(")
    (kernel,) = parse_function(Layer.nested).kernels
    assert kernel.docstring == "First\n    second."
    assert kernel.name.span.column == 9
    (line,) = {kernel.body[-1].span.line}
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    assert lines[line - 1] == "        return y"


def test_a_function_in_a_function() -> None:
    @tagged()
    def inner(x: f32[N]):
        return x

    (kernel,) = parse_function(inner).kernels
    assert kernel.name.name == "inner"


def test_the_tree_is_that_of_a_pdl_file() -> None:
    text = textwrap.dedent("""
        kernel plain(x: f32[N], y: f32[N]) -> f32[N]:
            "A docstring."
            z[i] = x[i] + y[i]
            return z
    """)
    assert parse_function(plain) == parse(Source("k.pdl", text))


def test_wrappers_are_looked_through() -> None:
    @functools.wraps(plain)
    def wrapper(*arguments: object) -> object:
        return plain(*arguments)

    assert source_of(wrapper) == source_of(plain)
    (kernel,) = parse_function(wrapper).kernels
    assert kernel.name.name == "plain"


# Errors


def imported(path: Path, text: str) -> ModuleType:
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("layers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_errors_point_into_the_python_file(tmp_path: Path) -> None:
    path = tmp_path / "layers.py"
    module = imported(
        path,
        """\
        from __future__ import annotations

        class Net:
            def f(
                x: f32[N],
                y: "f32[N, 2x]",
            ):
                a = y.T
                for i in x:
                    pass
                return a + 1
        """,
    )
    with pytest.raises(ProgramError) as caught:
        parse_function(module.Net.f)
    text = "\n".join(d.render() for d in caught.value.diagnostics)
    assert text.replace(str(path), "layers.py") == textwrap.dedent("""\
        layers.py:6:20: error[E0020]: 2x is not a number
             6 |         y: "f32[N, 2x]",
               |                    ^^ a number runs into a name
          hint: a product is written 2*x
        layers.py:8:14: error[E0011]: there are no attributes in polydsl
             8 |         a = y.T
               |              ^
          hint: exchange the subscripts instead: y[j, i]
        layers.py:9:9: error[E0010]: there is no 'for' statement in polydsl
             9 |         for i in x:
               |         ^^^
          hint: an index ranges by itself: y[i] += x[i, j] sums over j for every i
        layers.py:11:18: error[E0022]: return takes names of tensors
            11 |         return a + 1
               |                  ^
          hint: give the result a name: r[i] = ..., then return r""")


def test_an_indentation_by_tabs_is_refused(tmp_path: Path) -> None:
    module = imported(tmp_path / "tabs.py", "def f(x):\n\treturn x\n")
    with pytest.raises(ProgramError) as caught:
        parse_function(module.f)
    assert [d.code for d in caught.value.diagnostics] == ["E0015", "E0006"]


def test_a_function_without_text_is_refused() -> None:
    names: dict[str, Any] = {}
    exec("def f(x: 'f32[N]'):\n    return x\n", names)
    with pytest.raises(PolydslError) as caught:
        source_of(names["f"])
    assert str(caught.value) == (
        "<string>:1:1: error[E0023]: the text of the function f cannot be found\n"
        "     1 | def f(...)\n"
        "       | ^^^^^^^^^^\n"
        "  hint: a kernel is read as text: keep it in a file, or use "
        "polydsl.loads(text)"
    )


def test_a_lambda_is_refused() -> None:
    function = lambda x: x  # noqa: E731
    line = function.__code__.co_firstlineno
    with pytest.raises(ProgramError) as caught:
        source_of(function)
    assert str(caught.value) == (
        f"{__file__}:{line}:1: error[E0024]: a lambda cannot be a kernel\n"
        f"{line:>6} | lambda ...\n"
        "       | ^^^^^^^^^^\n"
        "  hint: write a def, or give the text of a kernel to polydsl.loads"
    )


def test_an_async_function_is_refused() -> None:
    async def coroutine(x: f32[N]) -> f32[N]:
        return x

    async def generator(x: f32[N]) -> f32[N]:
        yield x

    for function in (coroutine, generator):
        with pytest.raises(ProgramError) as caught:
            source_of(function)
        (found,) = caught.value.diagnostics
        name = function.__name__
        assert found.code == "E0024"
        assert found.message == f"the async function {name} cannot be a kernel"
        assert found.hint == "write def for async def"


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (3, "an object of type int"),
        (int, "the class int"),
        (print, "an object of type builtin_function_or_method"),
        (Layer(), "an object of type Layer"),
        (functools.partial(plain), "an object of type partial"),
    ],
)
def test_other_objects_are_refused(value: Any, what: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        source_of(value)
    message = f"a kernel is made from a Python function, not from {what}"
    assert str(caught.value) == message


def test_a_file_that_was_changed_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "changed.py"
    module = imported(path, "def f(x: 'f32[N]'):\n    return x\n")
    path.write_text("def g(x: 'f32[N]'):\n    return x\n\n\n", encoding="utf-8")
    linecache.checkcache(str(path))
    with pytest.raises(ProgramError) as caught:
        parse_function(module.f)
    assert str(caught.value).replace(str(path), "changed.py") == (
        "changed.py:1:1: error[E0023]: the file does not hold the function f in this "
        "line any more\n"
        "     1 | def g(x: 'f32[N]'):\n"
        "       | ^\n"
        "  hint: the file was changed after Python read it: start Python anew"
    )
    path.write_text("x = 3\n", encoding="utf-8")
    linecache.checkcache(str(path))
    with pytest.raises(ProgramError):
        parse_function(module.f)
    path.unlink()
    linecache.checkcache(str(path))
    with pytest.raises(ProgramError):
        parse_function(module.f)


def test_a_function_with_a_cached_text_needs_no_file() -> None:
    text = "def cell(x: 'f32[N]'):\n    return x\n"
    linecache.cache["<cell 1>"] = (len(text), None, text.splitlines(True), "<cell 1>")
    names: dict[str, Any] = {}
    exec(compile(text, "<cell 1>", "exec"), names)
    try:
        module = parse_function(names["cell"])
    finally:
        del linecache.cache["<cell 1>"]
    assert isinstance(module, ast.Module)
    assert module.kernels[0].name.name == "cell"
