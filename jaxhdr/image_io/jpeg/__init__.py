"""Finds and changes the parts of JPEG files without decoding them."""
