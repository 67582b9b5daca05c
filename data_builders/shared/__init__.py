"""What the builders share: reading sources, splits, records, shards, building."""
