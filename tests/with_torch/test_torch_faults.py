"""Forks after PyTorch has used its OpenMP: the child's team of threads is gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults import run

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("first", ["torch", "polydsl"])
def test_a_fork_after_pytorch_used_its_threads(first: str, tmp_path: Path) -> None:
    program = f"""
        if "{first}" == "polydsl":
            check(product(), 60, threads=2)
        import torch
        torch.set_num_threads(2)
        torch.ones(300, 300) @ torch.ones(300, 300)
        torch.ones(1000, 1000).exp().sum()
        kernel = product()
        check(kernel, 60, threads=2)
        for _ in range(2):
            child = os.fork()
            if child == 0:
                signal.alarm(120)
                check(kernel, 60, threads=2)
                check(product(), 61, threads=2)
                os._exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            check(kernel, 60, threads=2)
    """
    assert run(program, tmp_path) == ""
