"""Stages in order, kernels, the decorator, the command line."""
