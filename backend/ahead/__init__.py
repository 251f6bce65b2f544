"""Kernels compiled ahead of time: objects for programs without Python.

`interface` says how a kernel looks from C, `cpu` chooses among instruction sets at run
time, `entry` and `queries` emit the exported functions, `object` makes one object.
"""
