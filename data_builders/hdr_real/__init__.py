"""The `hdr_real` data set: photographs of 42 cameras, merged brackets."""
