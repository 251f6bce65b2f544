"""The standard library of layers, one `.pdl` file a theme."""
