"""Tests against PyTorch, an optional extra."""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the folder unread where `-m "not torch and ..."` takes none of it."""
    return True if "not torch" in config.option.markexpr else None
