"""The convolutional layer of all networks here, its parameters, and the pooling."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxhdr import kernels

Features = Float[Array, "b h w _"]
Initializer = Callable[..., Array]


class Weights(nn.Module):
    """The parameters of a convolution, float32: the kernel, and the bias or None.

    Attributes:
      features: channels of the result.
      size: side of the kernel, odd.
      use_bias: whether there is a bias.
      kernel_init: start of the kernel.
      bias_init: start of the bias.
    """

    features: int
    size: int = 3
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, inputs: int) -> tuple[Array, Array | None]:
        return _weights(self, inputs)


class Convolution(nn.Module):
    """A convolution that keeps the image size.

    Attributes:
      features: channels of the result.
      size: side of the kernel, odd.
      dilation: distance of the kernel's taps.
      use_bias: whether there is a bias.
      reflect: whether the margin is the image reflected; otherwise it is zero.
      relu: whether a ReLU follows.
      kernel_init: start of the kernel.
      bias_init: start of the bias.
      dtype: compute type.
    """

    features: int
    size: int = 3
    dilation: int = 1
    use_bias: bool = True
    reflect: bool = False
    relu: bool = False
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Features) -> Features:
        kernel, bias = _weights(self, x.shape[-1])
        if self.reflect:
            x = _reflect(x, self.size // 2 * self.dilation)
        return kernels.convolve(
            x.astype(self.dtype),
            kernel,
            bias=bias,
            dilation=self.dilation,
            same=not self.reflect,
            relu=self.relu,
        )


def max_pool(x: Features) -> Float[Array, "b _ _ _"]:
    """Returns the maxima of 2 x 2 pixels; an odd last row or column is left out.

    XLA's CPU backend computes the gradient of maxima over windows, as `nn.max_pool` has
    them, more than ten times slower than that of strided slices. A reshape to pairs is
    as fast, but its gradient is wrong in JAX 0.12 (docs/xla_aliasing.md).
    """
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    x = jnp.maximum(x[:, 0:height:2], x[:, 1:height:2])
    return jnp.maximum(x[:, :, 0:width:2], x[:, :, 1:width:2])


def _weights(layer: Weights | Convolution, inputs: int) -> tuple[Array, Array | None]:
    shape = (layer.size, layer.size, inputs, layer.features)
    # Parameters that come from a file are NumPy's.
    kernel = jnp.asarray(layer.param("kernel", layer.kernel_init, shape))
    if not layer.use_bias:
        return kernel, None
    return kernel, jnp.asarray(layer.param("bias", layer.bias_init, (layer.features,)))


def _reflect(x: Features, radius: int) -> Float[Array, "b _ _ _"]:
    """Pads by reflection; a side too short to reflect repeats its edge instead."""
    for axis in (1, 2):
        width = [(0, 0)] * 4
        width[axis] = (radius, radius)
        mode = "reflect" if x.shape[axis] > radius else "edge"
        x = jnp.pad(x, width, mode=mode)
    return x
