"""Text to abstract syntax and back."""
