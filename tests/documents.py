"""Running the blocks of a Markdown page in order, in one namespace and one folder.

pdl      kernels; a first line `# name.pdl` makes a file of them
python   a program, read from a file, so that decorated kernels find their text
pycon    a dialogue, compared with what it shows (`...` stands for anything)
c        a program in C; its first line `/* name.c */` names the file
console  commands; `$ polydsl ...`, and the C compiler `$ cc ...` with what it made
         (`$ ./name`), are run and compared with what follows, if anything
"""

from __future__ import annotations

import doctest
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polydsl
from polydsl.driver.cli import main

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_NAMED = re.compile(r"# (\w+\.(?:pdl|py))\n")
_C_NAMED = re.compile(r"/\* (\w+\.c) \*/\n")

Capture = Callable[[], tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, text, and the line on which the text begins."""

    language: str
    text: str
    line: int


@dataclass(slots=True)
class Reader:
    """One who types what a page says, in a folder of his own.

    `captured` returns and forgets what was printed.
    """

    page: Path
    folder: Path
    captured: Capture
    names: dict[str, Any] = field(default_factory=dict)

    def read(self) -> int:
        """Run every block; return how many there were."""
        count = 0
        for block in blocks_of(self.page):
            match block.language:
                case "pdl":
                    self._pdl(block)
                case "python":
                    self._python(block)
                case "pycon":
                    self._pycon(block)
                case "c":
                    self._c(block)
                case "console":
                    self._console(block)
                case "text" | "{toctree}":
                    continue
                case other:
                    raise AssertionError(
                        f"{self.page}:{block.line}: a block of {other}"
                    )
            count += 1
        return count

    def _pdl(self, block: Block) -> None:
        name = _NAMED.match(block.text)
        if name:
            (self.folder / name[1]).write_text(block.text, encoding="utf-8")
            polydsl.load(name[1])
        else:
            polydsl.loads(block.text)

    def _python(self, block: Block) -> None:
        name = _NAMED.match(block.text)
        path = self.folder / (name[1] if name else f"{self.page.stem}_{block.line}.py")
        path.write_text(block.text, encoding="utf-8")
        # As a script would: the functions of this block know only this page's names.
        self.names.setdefault("__name__", "__main__")
        exec(compile(block.text, str(path), "exec"), self.names)
        self.captured()

    def _pycon(self, block: Block) -> None:
        parser, runner = (
            doctest.DocTestParser(),
            doctest.DocTestRunner(optionflags=_FLAGS),
        )
        where = (str(self.page), block.line)
        test = parser.get_doctest(block.text, self.names, self.page.stem, *where)
        report: list[str] = []
        runner.run(test, out=report.append, clear_globs=False)
        self.names = test.globs
        assert not runner.summarize(verbose=False).failed, "".join(report)

    def _c(self, block: Block) -> None:
        name = _C_NAMED.match(block.text)
        assert name, f"{self.page}:{block.line}: this file has no name"
        (self.folder / name[1]).write_text(block.text, encoding="utf-8")

    def _ran(self, words: list[str]) -> tuple[int, str, str]:
        """Run a command; return its exit code and what it prints."""
        if words[0] != "polydsl":
            ran = subprocess.run(
                words, cwd=self.folder, capture_output=True, text=True, check=False
            )
            return ran.returncode, ran.stdout, ran.stderr
        self.captured()
        return main(words[1:]), *self.captured()

    def _console(self, block: Block) -> None:
        for command, expected in commands_of(block.text):
            words = shlex.split(command)
            if words[0] not in ("polydsl", "cc") and not words[0].startswith("./"):
                continue
            code, out, err = self._ran(words)
            assert code in (0, 1), f"{self.page}:{block.line}: {command}\n{err}"
            if expected.strip():
                same = doctest.OutputChecker().check_output(expected, err + out, _FLAGS)
                assert same, f"{self.page}: $ {command}\n{out}{err}"
            else:
                assert code == 0, f"{self.page}: $ {command}\n{err}"


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        yield Block(found[1], found[2], text.count("\n", 0, found.start(2)))


def commands_of(text: str) -> Iterator[tuple[str, str]]:
    """Yield the commands of a dialogue with the shell, and what they print."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, _, output = part.partition("\n")
        while command.endswith("\\"):
            more, _, output = output.partition("\n")
            command = command[:-1] + more
        yield command, output
