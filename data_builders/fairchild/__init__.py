"""The `fairchild` data set: calibrated photographic survey, HDR images only."""
