"""The grammar of the polydsl language and its saved parse tables.

Building the tables from `polydsl.lark` takes about 100 ms, loading the saved ones a
few. The saved file tells what it was made from and by which version of Lark;
`load_tables` gives None where that does not fit, and the parser then builds them.
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


def fingerprint() -> str:
    """Return what tells this grammar from every other."""
    return hashlib.sha256(grammar_text().encode()).hexdigest()


def encode_tables(tables: dict[str, Any], maker: str) -> str:
    """Return the text of the file that keeps the tables: JSON, one line.

    *maker* is the name and version of what made them: the form may change with it.
    """
    record = {"grammar": fingerprint(), "maker": maker, "tables": tables}
    return json.dumps(record, separators=(",", ":")) + "\n"


def load_tables(maker: str) -> dict[str, Any] | None:
    """Return the saved tables, or None where they are missing, damaged or stale."""
    try:
        record = json.loads(TABLES.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or record.get("maker") != maker:
        return None
    if record.get("grammar") != fingerprint():
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
