"""The `ldr_hdr_pair` data set: 450 scenes at three exposures."""
