"""Draws previews, contact sheets, and the sheet of `jaxhdr inspect`."""
