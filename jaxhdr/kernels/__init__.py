"""Convolutions at the speed of the hardware, on a CPU too.

On a GPU, in an export, and where oneDNN or a compiler is missing, they are XLA's own.
On a CPU with both, `library` compiles `src/convolution.cc` once, and the same functions
call oneDNN, which uses all cores: leave JAX its one CPU device. The environment
variable JAXHDR_CONV chooses: `auto`, `onednn` (an error where it cannot be), `xla`.
"""

from jaxhdr.kernels.convolution import convolve
from jaxhdr.kernels.dense import (
    FEATURES,
    GROWTH,
    NUM_LAYERS,
    DenseKernels,
    dense_block,
)
from jaxhdr.kernels.library import held_bytes, supports
from jaxhdr.kernels.lstm import LstmState, LstmWeights, lstm_step

__all__ = [
    "FEATURES",
    "GROWTH",
    "NUM_LAYERS",
    "DenseKernels",
    "LstmState",
    "LstmWeights",
    "convolve",
    "dense_block",
    "held_bytes",
    "lstm_step",
    "supports",
]
