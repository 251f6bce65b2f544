"""Programs in C that include, link and call kernels compiled ahead of time."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from ahead_harness import verified
from test_ahead import MODULE

import polydsl
from polydsl.backend.isa import ISAS

PROGRAMS = Path(__file__).parent / "ahead"
ROWS = [isa.name for isa in ISAS]
STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror")
# Strict C99 has no barriers in pthread.h, but all that the programs use.
GCC = ("gcc", *STRICT, "-D_POSIX_C_SOURCE=200112L", "-pthread")

CONV = polydsl.loads('''
kernel conv2d_relu(x: f32[N, C, H, W], w: f32[K, C, R, S], b: f32[K], *,
                   stride: int = 1, padding: int = 0,
                   dilation: int = 1) -> f32[N, K, P, Q]:
    """Ends */ comments, /* opens them, and has ??/ in it."""
    P = (H + 2*padding - dilation*(R - 1) - 1) // stride + 1
    Q = (W + 2*padding - dilation*(S - 1) - 1) // stride + 1
    y[n, k, p, q] += (pad(x[n, c, p*stride + r*dilation - padding,
                            q*stride + s*dilation - padding]) * w[k, c, r, s])
    z[n, k, p, q] = relu(y[n, k, p, q] + b[k])
    return z
''')
SUM = polydsl.loads(
    "kernel total(x: f32[N]) -> f32:\n    s += x[i]\n    return s\n"
).total


def run(*command: object, folder: Path) -> bytes:
    ran = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True)
    assert ran.returncode == 0, (ran.returncode, ran.stderr.decode())
    return ran.stdout


@pytest.fixture(scope="module")
def conv(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, object, dict]:
    """A folder with the object, the header, the library and the inputs."""
    folder = tmp_path_factory.mktemp("conv")
    specs = ("f32[2,4,9,8]", "f32[24,4,3,3]", "f32[24]")
    special = CONV.conv2d_relu.specialize(*specs, padding=1)
    special.compile(folder / "conv", isa=ROWS)
    rng = np.random.default_rng(3)
    arrays = {
        name: rng.standard_normal(layout.shape).astype(np.float32)
        for name, layout in special.request.arguments.items()
    }
    for name, array in arrays.items():
        (folder / f"{name}.bin").write_bytes(array.tobytes())
    return folder, special, arrays


@pytest.mark.parametrize(
    "linked",
    [("conv.o",), ("conv.so", "-Wl,-rpath,$ORIGIN"), ("-static", "conv.o")],
    ids=["object", "shared", "static"],
)
def test_two_threads_call_one_kernel(conv, linked) -> None:
    folder, special, arrays = conv
    program = PROGRAMS / "threads.c"
    run(*GCC, "-I.", program, *linked, "-o", "threads", folder=folder)
    found = np.frombuffer(run("./threads", folder=folder), np.float32)
    verified(special, arrays, [found.reshape(2, 24, 9, 8)])


def test_the_header_is_c_and_cpp(conv) -> None:
    folder, _, _ = conv
    (folder / "twice.c").write_text('#include "conv.h"\n#include "conv.h"\nint a;\n')
    warnings = STRICT[1:]
    for language in ("c99", "c11", "c17"):
        command = ("gcc", f"-std={language}", *warnings, "-fsyntax-only", "twice.c")
        run(*command, folder=folder)
    for language in ("c++98", "c++17", "c++20"):
        options = (f"-std={language}", *warnings, "-fsyntax-only", "-x", "c++")
        run("g++", *options, "twice.c", folder=folder)


def test_cpp_links_it(conv) -> None:
    folder, _, _ = conv
    (folder / "main.cpp").write_text(
        '#include "conv.h"\n'
        "int main() {\n"
        "    conv2d_relu_sizes sizes = {2, 4, 9, 8, 24, 3, 3, 1, 1, 1};\n"
        "    return conv2d_relu_check(&sizes);\n"
        "}\n"
    )
    run("g++", "-Wall", "-Werror", "main.cpp", "conv.o", "-o", "cpp", folder=folder)
    run("./cpp", folder=folder)


def test_several_kernels_are_one_program(tmp_path: Path) -> None:
    SUM.specialize("f32[3]").compile(tmp_path / "small", name="small", isa=ROWS)
    SUM.specialize("f32[20]").compile(tmp_path / "large", name="large", isa=ROWS)
    mixed = MODULE.mixed.specialize("i8[4]", "bool", "i16", "i64", "u8", "f64")
    mixed.compile(tmp_path / "mixed", isa=ROWS)
    layer = MODULE.layer.bind(w=np.zeros((2, 3), np.float32))
    special = layer.specialize("f32[2,3]", "f32[2]", "f32")
    special.compile(tmp_path / "layer", isa=ROWS)
    objects = [tmp_path / f"{n}.o" for n in ("small", "large", "mixed", "layer")]
    program = PROGRAMS / "several.c"
    run(*GCC, "-I.", program, *objects, "-o", "several", folder=tmp_path)
    run("./several", folder=tmp_path)


def test_a_shared_library_exports_the_interface_alone(conv) -> None:
    folder, _, _ = conv
    listed = run("nm", "-D", "conv.so", folder=folder).decode().splitlines()
    words = [line.split()[-2:] for line in listed]
    functions = ("", "_check", "_isa", "_scratch_bytes")
    assert {name for kind, name in words if kind == "T"} == {
        f"conv2d_relu{end}" for end in functions
    }
    needed = {name.partition("@")[0] for kind, name in words if kind != "T"}
    assert needed <= {"memcpy", "memmove", "memset"}
    dynamic = run("readelf", "-dW", "conv.so", folder=folder).decode()
    assert "TEXTREL" not in dynamic
    assert "NEEDED" not in dynamic
    stack = run("readelf", "-lW", "conv.so", folder=folder).decode()
    (line,) = (line for line in stack.splitlines() if "GNU_STACK" in line)
    assert " RW " in line


def test_the_header_documents_every_argument(conv) -> None:
    folder, _, _ = conv
    text = (folder / "conv.h").read_text()
    assert "Ends * / comments, / * opens them, and has ? ?/ in it." in text
    for line in (
        " * x     in   f32[N, C, H, W] = f32[2, 4, 9, 8]; aligned to 4",
        " * z     out  f32[N, K, P, Q] = f32[2, 24, 9, 8]; aligned to 4",
        "#define CONV2D_RELU_ELEMENTS_z 3456",
        "#define POLYDSL_CALL 1",
    ):
        assert line in text.splitlines()
    assert max(map(len, text.splitlines())) <= 90


AWKWARD = """
kernel f(int: f32[this], call: f32, call_: f32[_n], in_: f32[_in], *,
         double: float = 2.0, new: bool = True) -> f32[this]:
    y[i] = int[i] * double + call + call_[0] if new else in_[0]
    return y
"""


def test_names_that_mean_something_else_in_c(tmp_path: Path) -> None:
    special = polydsl.loads(AWKWARD).f.specialize("f32[3]", "f32", "f32[1]", "f32[2]")
    special.compile(tmp_path / "f", isa=["generic"])
    (tmp_path / "main.c").write_text(
        '#include "f.h"\n'
        "int main(void) {\n"
        "    float a[3] = {1, 2, 3}, b[1] = {4}, c[2] = {5, 6}, y[3];\n"
        "    f_sizes sizes = {0};\n"
        "    sizes.this_ = 3; sizes.x_n = 1; sizes.x_in = 2;\n"
        "    sizes.double_ = 2; sizes.new_ = 1;\n"
        "    if (f_check(&sizes) || f(a, 10, b, c, y, 0)) return 1;\n"
        "    return !(y[0] == 16 && y[2] == 20);\n"
        "}\n"
    )
    text = (tmp_path / "f.h").read_text()
    assert "const float *int_," in text
    assert "float call_," in text
    assert "const float *call__," in text
    run(*GCC, "main.c", "f.o", "-o", "main", folder=tmp_path)
    run("./main", folder=tmp_path)


def test_a_kernel_without_sizes_or_inputs(tmp_path: Path) -> None:
    ones = polydsl.loads(
        "kernel ones() -> f32[3]:\n    i in range(3)\n    y[i] = 1.0\n    return y\n"
    ).ones
    ones.specialize().compile(tmp_path / "ones", isa=["generic"])
    (tmp_path / "main.c").write_text(
        '#include "ones.h"\n'
        "int main(void) {\n"
        "    float y[ONES_ELEMENTS_y];\n"
        "    return ones(y, 0) || y[0] + y[1] + y[2] != 3;\n"
        "}\n"
    )
    assert "_check" not in (tmp_path / "ones.h").read_text()
    run(*GCC, "main.c", "ones.o", "-o", "main", folder=tmp_path)
    run("./main", folder=tmp_path)
