"""Code that the builders share: source files, splits, records, shards, building."""
