"""Schedule trees, legality, contraction matching, the choice of a schedule."""
