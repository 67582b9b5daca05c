"""Reads and writes the containers of image files: boxes, chunks, pages."""
