"""Writes Ultra HDR: a photograph with a gain map."""
