"""The `synthetic_hdr` data set: ray-cast streets and rooms; needs no files."""
