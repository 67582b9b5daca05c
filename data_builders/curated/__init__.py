"""The `curated` data set: FHDR's recipe over a folder of HDR images."""
