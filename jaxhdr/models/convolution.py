"""Convolutions whose weight gradient is fast on a CPU too.

XLA's CPU backend takes about six times as long for the weight gradient of a wide
convolution, and of one with few outputs, as for the equal matrix product
(`benchmarks/weight_gradient.py` on two cores). On other platforms nothing is changed.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

Features = Float[Array, "b h w _"]
Kernel = Float[Array, "k k _ _"]

# Channels from which, or up to which, the matrix product was the faster.
_WIDE = 128
_NARROW = 4


class Convolution(nn.Module):
    """A convolution that keeps the image size, with zero padding.

    Attributes:
      features: channels of the result.
      size: side of the kernel, odd.
      kernel_init: start of the kernel.
      bias_init: start of the bias.
    """

    features: int
    size: int = 3
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    bias_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: Features) -> Features:
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        bias = self.param("bias", self.bias_init, (self.features,))
        return convolve(x, kernel) + bias[None, None, None]


@jax.custom_vjp
def convolve(x: Features, kernel: Kernel) -> Features:
    """Returns the convolution with stride 1 that keeps the image size."""
    return _convolve(x, kernel)


def _convolve(x: Features, kernel: Kernel) -> Features:
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _forward(x: Features, kernel: Kernel) -> tuple[Features, tuple[Features, Kernel]]:
    return _convolve(x, kernel), (x, kernel)


def _backward(
    residuals: tuple[Features, Kernel], gradient: Features
) -> tuple[Features, Kernel]:
    x, kernel = residuals
    of_x = jax.linear_transpose(lambda x: _convolve(x, kernel), x)(gradient)[0]

    def by_convolution(x, gradient):
        transposed = jax.linear_transpose(lambda k: _convolve(x, k), kernel)
        return transposed(gradient)[0]

    outputs = kernel.shape[-1]
    if outputs >= _WIDE:
        by_product = _unfold_input
    elif outputs <= _NARROW:
        by_product = _unfold_gradient
    else:
        return of_x, by_convolution(x, gradient)
    of_kernel = jax.lax.platform_dependent(
        x,
        gradient,
        cpu=lambda x, gradient: by_product(x, gradient, len(kernel)),
        default=by_convolution,
    )
    return of_x, of_kernel


convolve.defvjp(_forward, _backward)


def _unfold_input(x: Features, gradient: Features, size: int) -> Kernel:
    columns = _unfold(x, size).reshape(-1, size * size * x.shape[-1])
    of_kernel = gradient.reshape(-1, gradient.shape[-1]).T @ columns
    return of_kernel.T.reshape(size, size, x.shape[-1], gradient.shape[-1])


def _unfold_gradient(x: Features, gradient: Features, size: int) -> Kernel:
    outputs = gradient.shape[-1]
    columns = _unfold(gradient, size)[:, :, :, ::-1].reshape(-1, size * size * outputs)
    of_kernel = x.reshape(-1, x.shape[-1]).T @ columns
    of_kernel = of_kernel.reshape(x.shape[-1], size, size, outputs)
    return of_kernel.transpose(1, 2, 0, 3)


def _unfold(image: Features, size: int) -> Float[Array, "b h w offsets c"]:
    """Returns, for each pixel, those that a kernel at it covers, row by row."""
    _, height, width, _ = image.shape
    margin = size // 2
    padded = jnp.pad(image, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    shifted = [
        padded[:, i : i + height, j : j + width]
        for i in range(size)
        for j in range(size)
    ]
    return jnp.stack(shifted, axis=3)
