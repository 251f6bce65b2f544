"""The loop nest IR, its generation, verification and interpreter."""
