"""Reads and writes files of radiance: OpenEXR, Radiance .hdr, PFM, TIFF, .npy."""
