"""Tests, in the same folders as in `jaxhdr/`; shared helpers are in this folder."""
