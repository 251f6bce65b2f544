"""`python -m polydsl.grammar`: saves the parse tables of the grammar."""

from __future__ import annotations

from polydsl.grammar import TABLES, encode_tables
from polydsl.syntax.parser import TABLE_MAKER, build_tables

if __name__ == "__main__":
    TABLES.write_text(encode_tables(build_tables(), TABLE_MAKER), encoding="utf-8")
    print(f"saved {TABLES}")
