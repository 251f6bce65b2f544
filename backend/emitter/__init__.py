"""LLVM IR from a loop nest: `module.emit_module` and the parts that it is made of."""
