"""Writes images for HDR displays: AVIF, PNG and JPEG XL."""
