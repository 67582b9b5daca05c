"""The `ldr_hdr_pair` data set: 450 scenes with three exposures each."""
