"""Reads the gain maps of phones, which turn a photograph into an HDR image."""
