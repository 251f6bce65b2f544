"""All benchmarks of layers, one table after the other: `python -m tests.benchmarks`."""

from tests.benchmarks import invariance, layers, novel

if __name__ == "__main__":
    layers.main([])
    print()
    invariance.main()
    print()
    novel.main()
