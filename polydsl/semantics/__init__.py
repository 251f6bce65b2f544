"""The typed program, its checker, and the NumPy oracle that defines its meaning."""
