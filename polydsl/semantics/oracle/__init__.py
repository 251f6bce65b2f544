"""The oracle: a float64 NumPy interpreter of the typed program.

It defines what a kernel means. It is plain, tracks definedness by itself, carries an
error bound with every value, and shares nothing with the compiler.
"""

from polydsl.semantics.oracle.compare import Margin, Margins, compare
from polydsl.semantics.oracle.evaluate import evaluate
from polydsl.semantics.oracle.outcome import Outcome, Result

__all__ = ["Margin", "Margins", "Outcome", "Result", "compare", "evaluate"]
