"""Builds the documentation: `make docs`. Warnings are errors there."""

from __future__ import annotations

from importlib.metadata import version as version_of

from pygments.lexers.python import PythonLexer
from pygments.token import Keyword, Name, Token
from sphinx.application import Sphinx

project = "polydsl"
version = release = version_of("polydsl")
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_show_copyright = False
# Quotation marks are those of Python.
smartquotes = False
# Docstrings put code into single backquotes.
default_role = "code"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]


class PdlLexer(PythonLexer):
    """The language is a subset of Python's grammar, with one more word."""

    name = "polydsl"
    aliases = ("pdl",)
    filenames = ("*.pdl",)

    def get_tokens_unprocessed(self, text: str) -> object:
        """Yield Python's tokens, `kernel` among the keywords."""
        for position, kind, value in super().get_tokens_unprocessed(text):
            is_word = value == "kernel" and kind in (Name, Token.Name)
            yield position, Keyword if is_word else kind, value


def setup(app: Sphinx) -> None:
    """Register the lexer of `.pdl` texts."""
    app.add_lexer("pdl", PdlLexer)
