"""Reuse analysis in closed form: what loops touch and what they move."""
