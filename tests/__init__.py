"""Tests, in the folders of `jaxhdr/`; what several of them use lies here."""
