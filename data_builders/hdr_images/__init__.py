"""The `hdr_images` data set: a folder of HDR files, or views cut from panoramas."""
