"""C headers of kernels that are compiled ahead of time: C99, and C++ too."""
