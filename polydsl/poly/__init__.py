"""Statements as integer sets and access maps; proofs, dependences."""
