"""The `ntire2021` data set: the frames of the NTIRE 2021 challenge, track 1."""
