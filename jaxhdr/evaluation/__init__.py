"""Scores of methods on images whose radiance is known, and their report."""
