"""The layers of FHDR that each of its iterations repeats (Khan et al. 2019, Fig. 2).

Layer widths, which layers have biases, and the padding modes follow the paper and,
where it is silent, its official code.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxhdr import kernels
from jaxhdr.models.layers import Convolution, Initializer, Weights

FEATURES = kernels.FEATURES

Features = Float[Array, "b h w _"]


class DilatedDenseBlock(nn.Module):
    """Four dilated convolutions, each fed by all before it, between two 1x1 (Fig. 3).

    Attributes:
      dilation: distance of the taps of the four convolutions.
      kernel_init: start of all kernels.
      dtype: compute type.
    """

    dilation: int
    kernel_init: Initializer
    dtype: Any

    @nn.compact
    def __call__(self, x: Features, local: Features) -> Features:
        """Returns the features of the block.

        Args:
          x: features of the block before this one.
          local: what this block returned in the previous iteration.
        """
        init = self.kernel_init
        compress, bias = Weights(FEATURES, 1, kernel_init=init, name="compress")(
            2 * FEATURES
        )
        assert bias is not None
        dense = []
        for i in range(kernels.NUM_LAYERS):
            weights = Weights(
                kernels.GROWTH, use_bias=False, kernel_init=init, name=f"dense_{i}"
            )
            dense.append(weights(FEATURES + i * kernels.GROWTH)[0])
        joined = FEATURES + kernels.NUM_LAYERS * kernels.GROWTH
        weights = Weights(FEATURES, 1, use_bias=False, kernel_init=init, name="fuse")
        fuse, _ = weights(joined)
        return kernels.dense_block(
            x.astype(self.dtype),
            local.astype(self.dtype),
            kernels.DenseKernels(compress, bias, tuple(dense), fuse),
            dilation=self.dilation,
        )


class FeedbackBlock(nn.Module):
    """The feedback block of one iteration (Fig. 2).

    The hidden state is `(global, local 1, ..., local n)`: the block's own output and
    the outputs of its dense blocks. At the first iteration there is no feedback: the
    global state is the extracted features (section II-B) and, as the paper does not
    say, each local state is its block's own input, as in the official code.

    Attributes:
      dilations: dilation of each dense block.
      kernel_init: start of all kernels.
      dtype: compute type.
    """

    dilations: tuple[int, ...]
    kernel_init: Initializer
    dtype: Any

    @nn.compact
    def __call__(
        self, features: Features, hidden: tuple[Features, ...], is_first: Array
    ) -> tuple[Features, tuple[Features, ...]]:
        """Returns the block's output and the hidden state after it."""
        weights = Weights(FEATURES, 1, kernel_init=self.kernel_init, name="compress_in")
        kernel, bias = weights(2 * FEATURES)
        # The share of the features is the same in each iteration: computed once.
        constant = kernels.convolve(features, kernel[:, :, :FEATURES], bias=bias)
        x = kernels.convolve(hidden[0], kernel[:, :, FEATURES:], add=constant)
        outputs = []
        for i, dilation in enumerate(self.dilations, start=1):
            local = jnp.where(is_first, x, hidden[i])
            block = DilatedDenseBlock(
                dilation, self.kernel_init, self.dtype, name=f"block_{i}"
            )
            x = block(x, local)
            outputs.append(x)
        gff = Convolution(
            FEATURES,
            relu=True,
            kernel_init=self.kernel_init,
            dtype=self.dtype,
            name="gff",
        )
        x = gff(x)
        return x, (x, *outputs)


class Iteration(nn.Module):
    """One iteration: feedback block, global residual, reconstruction block.

    It sows `live_features`, the share of the features of `hrb1` that are positive in
    any pixel: at 0 the network is dead though its loss may look fine.

    Attributes:
      dilations: dilation of each dense block.
      kernel_init: start of all kernels but the last.
      last_kernel_init: start of the last kernel.
      dtype: compute type of all layers but the last, which computes in float32.
      detach_hidden: whether no gradient passes to the iteration before.
    """

    dilations: tuple[int, ...]
    kernel_init: Initializer
    last_kernel_init: Initializer
    dtype: Any
    detach_hidden: bool

    @nn.compact
    def __call__(
        self,
        hidden: tuple[Features, ...],
        is_first: Array,
        low_level: Features,
        features: Features,
    ) -> tuple[tuple[Features, ...], Float[Array, "b h w 3"]]:
        """Returns the hidden state after the iteration, and what it predicts."""
        block = FeedbackBlock(
            self.dilations, self.kernel_init, self.dtype, name="feedback_block"
        )
        x, hidden = block(features, hidden, is_first)
        hrb1 = Convolution(
            FEATURES,
            relu=True,
            kernel_init=self.kernel_init,
            dtype=self.dtype,
            name="hrb1",
        )
        x = hrb1(x + low_level)
        self.sow("intermediates", "live_features", (x > 0).any((0, 1, 2)).mean())
        hrb2 = Convolution(
            3, reflect=True, kernel_init=self.last_kernel_init, name="hrb2"
        )
        output = hrb2(x.astype(jnp.float32))
        if self.detach_hidden:
            hidden = jax.lax.stop_gradient(hidden)
        return hidden, output
