"""The grammar of the polydsl language and its saved parse tables.

Building the tables from `polydsl.lark` takes about 100 ms, loading the saved ones a
few. The saved file carries a fingerprint of what it was made from; `load_tables`
gives None where it does not fit, and the parser then builds the tables itself.
`python -m polydsl.grammar` saves them anew.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

GRAMMAR = Path(__file__).with_name("polydsl.lark")
TABLES = Path(__file__).with_name("tables.json")


def grammar_text() -> str:
    """Return the text of the grammar."""
    return GRAMMAR.read_text(encoding="utf-8")


def fingerprint(maker: str) -> str:
    """Return what identifies tables made from this grammar by *maker* (its version)."""
    return hashlib.sha256(f"{maker}\n{grammar_text()}".encode()).hexdigest()


def encode_tables(tables: dict[str, Any], maker: str) -> str:
    """Return the text of the saved file: JSON, one line."""
    record = {"fingerprint": fingerprint(maker), "tables": tables}
    return json.dumps(record, separators=(",", ":")) + "\n"


def load_tables(maker: str) -> dict[str, Any] | None:
    """Return the saved tables, or None where they are missing, damaged or stale."""
    try:
        record = json.loads(TABLES.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or record.get("fingerprint") != fingerprint(maker):
        return None
    tables: dict[str, Any] = record["tables"]
    _restore_numbers(tables)
    return tables


def _restore_numbers(tables: dict[str, Any]) -> None:
    """Undo what JSON does to integer keys: it makes strings of them."""
    tables["memo"] = {int(key): item for key, item in tables["memo"].items()}
    table = tables["data"]["parser"]["parser"]
    table["tokens"] = {int(key): name for key, name in table["tokens"].items()}
    table["states"] = {
        int(state): {int(key): action for key, action in actions.items()}
        for state, actions in table["states"].items()
    }
