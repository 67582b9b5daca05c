"""Reads and writes run folders and weight files: parameters, checkpoints, log."""
