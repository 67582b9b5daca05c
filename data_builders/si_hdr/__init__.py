"""The `si_hdr` data set: 181 scenes to compare methods on."""
