"""The `si_hdr` data set: 181 scenes for comparing methods."""
