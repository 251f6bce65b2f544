"""What kernels that PyTorch lacks must give: the formulas of their papers, in NumPy.

They are written element by element or with whole arrays, whichever is farther from the
text of the kernel. `FORMULAS` has them by the name of the kernel.
"""

from stdlib_formulas import images, products, sequences

FORMULAS = {**images.FORMULAS, **products.FORMULAS, **sequences.FORMULAS}
