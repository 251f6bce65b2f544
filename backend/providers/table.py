"""The table of providers, and the way from a loop nest to linked library kernels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from polydsl.backend.microkernel_spec import microkernel_of
from polydsl.backend.providers import builtin, libxsmm, mkl
from polydsl.backend.providers.foreign import ForeignKernel, Implementation, Library
from polydsl.base.diagnostics import bug
from polydsl.base.providers import BUILT_IN
from polydsl.loops.nest import BatchReduceGemm, LoopNest, walk

IMPLEMENTATIONS: tuple[Implementation, ...] = (
    builtin.IMPLEMENTATION,
    libxsmm.IMPLEMENTATION,
    mkl.IMPLEMENTATION,
)
"""One row for each row of `polydsl.base.providers.PROVIDERS`."""


def implementation(name: str) -> Implementation:
    """Return the implementation of the provider called *name*."""
    found = next((i for i in IMPLEMENTATIONS if i.provider.name == name), None)
    return found or bug(f"no implementation of the provider {name}")


def foreign_symbols(nest: LoopNest) -> tuple[str, ...]:
    """Return the symbols of library kernels that the code of *nest* calls."""
    gemms = [n for n in walk((*nest.prepare, *nest.body)) if _is_foreign(n)]
    kernels = {
        kernel.symbol
        for spec in {microkernel_of(n) for n in gemms if isinstance(n, BatchReduceGemm)}
        for kernel in implementation(spec.provider).kernels(spec)
    }
    return tuple(sorted(kernels))


def _is_foreign(node: object) -> bool:
    return isinstance(node, BatchReduceGemm) and node.provider != BUILT_IN


@dataclass(frozen=True, slots=True)
class Linked:
    """Addresses of library kernels by symbol, and what keeps them alive."""

    addresses: Mapping[str, int]
    owners: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Libraries:
    """The providers' libraries. `paths` are pairs of a provider and the place where the
    user says that its library is; the others are looked for."""

    paths: tuple[tuple[str, str], ...] = ()

    def find(self, provider: str) -> Library | None:
        """Return a provider's library, None where it is not found."""
        return implementation(provider).find(dict(self.paths).get(provider, ""))

    def has(self, provider: str) -> bool:
        """Return whether a provider can be used in this process."""
        return provider == BUILT_IN or self.find(provider) is not None

    def link(self, symbols: Iterable[str]) -> Linked | None:
        """Return the kernels that *symbols* name.

        None where one of them is not to be had: its library is missing, or does not
        make this kernel. Then the code that calls it cannot run here.
        """
        addresses: dict[str, int] = {}
        owners: list[object] = []
        for symbol in symbols:
            kernel = ForeignKernel.of_symbol(symbol)
            library = self.find(kernel.provider) if kernel is not None else None
            made = library.make(kernel) if library and kernel else None
            if made is None:
                return None
            addresses.update(made.symbols)
            owners.append(made.owner)
        return Linked(addresses, tuple(owners))
