"""LoopNest to LLVM to native code; ISA tables, microkernels, run time."""
