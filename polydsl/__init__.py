"""polydsl: deep-learning layers written as index formulas, compiled to native code."""
