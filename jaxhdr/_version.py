"""The version of the package, which is written into files and reports."""

__version__ = "0.1.0"
