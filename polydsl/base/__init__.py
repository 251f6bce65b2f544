"""What every layer stands on: sources, diagnostics, dtypes, functions, the machine."""
