"""Reads photographs of all formats, also those that are HDR already."""
