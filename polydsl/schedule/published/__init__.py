"""The published reuse analysis as rankers: working sets, PolyRank, the pairwise net."""
