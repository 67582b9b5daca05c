"""The `vds` data set: stacks of seven exposures."""
