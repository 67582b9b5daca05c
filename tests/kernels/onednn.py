"""What the tests of the kernels need of the machine: oneDNN and a compiler."""

import shutil

import pytest

from jaxhdr.kernels import library


def skip_without_onednn() -> None:
    """Skips the running test where the kernels cannot be compiled."""
    try:
        library._find_onednn()
    except library._Unavailable as reason:
        pytest.skip(str(reason))
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
