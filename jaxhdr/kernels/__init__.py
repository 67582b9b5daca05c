"""Convolutions and two larger blocks of them, computed by oneDNN on a CPU.

On a CPU with oneDNN and a C++ compiler, `library` compiles `src/convolution.cc` once,
and the functions of this package call it. It uses all cores, so JAX must have one CPU
device only. On a GPU, in an export, and where oneDNN or a compiler is missing, the same
functions use XLA's convolutions. The environment variable JAXHDR_CONV chooses: `auto`
(the default), `onednn` (an error where it cannot be used) or `xla`.

Read `convolution`, `dense` and `lstm` for the functions, `dispatch` for the choice.
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
