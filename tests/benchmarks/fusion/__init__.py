"""Layers written as several lines, fused and unfused: `python -m` this package."""
