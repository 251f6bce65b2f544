"""A kernel as the PyTorch program that one would write for it: a peer of `bench`."""
