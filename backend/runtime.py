"""What a process needs once to call compiled kernels.

`Runtime` brings the pieces together for the driver: compiling through the object cache,
the launcher, and the parallel run time, each made at its first use.
"""

from __future__ import annotations

from polydsl.backend.cache import ObjectCache
from polydsl.backend.cache_key import object_key
from polydsl.backend.call import Launcher, load_launcher
from polydsl.backend.jit import compile_object
from polydsl.backend.target import Target
from polydsl.backend.threads import ParallelRuntime, parallel_runtime


class Runtime:
    """The launcher and the parallel run time of one process, for one target."""

    def __init__(self, target: Target, cache: ObjectCache | None) -> None:
        self.target = target
        self.cache = cache
        self._launcher: Launcher | None = None
        self._parallel: ParallelRuntime | None = None

    def compile_cached(self, ir_text: str) -> bytes:
        """Return the object code of a module, from the cache where it is there."""
        if self.cache is None:
            return compile_object(ir_text, self.target)
        key = object_key(self.target, ir_text)
        entry = self.cache.get(key)
        if entry is not None:
            return entry.object_code
        object_code = compile_object(ir_text, self.target)
        self.cache.put(key, object_code)
        return object_code

    # No lock, which the child of a fork might find held for ever: it does no harm to
    # make these twice.
    @property
    def launcher(self) -> Launcher:
        """The way into every kernel."""
        if self._launcher is None:
            self._launcher = load_launcher(self.compile_cached)
        return self._launcher

    @property
    def parallel(self) -> ParallelRuntime:
        """The way to run parallel loops.

        Ask for it as late as possible, when a kernel with a parallel loop is called: a
        PyTorch that is imported before then brings the OpenMP run time to share.
        """
        if self._parallel is None:
            self._parallel = parallel_runtime(self.compile_cached)
        return self._parallel
