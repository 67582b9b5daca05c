"""What the numbers of pixels mean: primaries, transfer functions, ICC profiles."""
