"""FHDR's dilated dense block in one call (Khan et al. 2019, Fig. 3).

The block is a 1 x 1 convolution of two inputs, four dilated 3 x 3 convolutions that
each read all features before them, and a 1 x 1 convolution. oneDNN runs it in one
buffer without copying channels together. Elsewhere XLA concatenates them before each
convolution.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhdr.kernels import dispatch, library
from jaxhdr.kernels.convolution import convolve

FEATURES = 64  # section II-E
GROWTH = 32  # section II-E
NUM_LAYERS = 4  # section II-C

_NUM_GROUPS = FEATURES // GROWTH + NUM_LAYERS

Features = Float[Array, "b h w 64"]


class DenseKernels(NamedTuple):
    """The parameters of a block, float32.

    Attributes:
      compress: kernel of the first layer; its inputs are `x` and then `local`.
      bias: bias of the first layer.
      dense: kernels of the dilated layers; layer i reads 64 + 32 i channels.
      fuse: kernel of the last layer.
    """

    compress: Float[Array, "1 1 128 64"]
    bias: Float[Array, "64"]
    dense: tuple[Float[Array, "3 3 _ 32"], ...]
    fuse: Float[Array, "1 1 192 64"]


def dense_block(
    x: Features, local: Features, kernels: DenseKernels, *, dilation: int
) -> Features:
    """Returns the block's output.

    Args:
      x: the block's input; the result has its type.
      local: the block's own output in the previous iteration.
      kernels: the block's parameters.
      dilation: dilation of the 3 x 3 convolutions.
    """
    if not library.supports(x.dtype):
        return _by_xla(dilation, x, local, kernels)
    return _by_platform(dilation, x, local, kernels)


def _by_xla(
    dilation: int, x: Features, local: Features, kernels: DenseKernels
) -> Features:
    first = kernels.compress[:, :, :FEATURES], kernels.compress[:, :, FEATURES:]
    x = convolve(x, first[0], bias=kernels.bias, add=convolve(local, first[1]))
    for kernel in kernels.dense:
        y = convolve(x, kernel, dilation=dilation, relu=True)
        x = jnp.concatenate([x, y], axis=-1)
    return convolve(x, kernels.fuse)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _by_platform(
    dilation: int, x: Features, local: Features, kernels: DenseKernels
) -> Features:
    return _forward(dilation, x, local, kernels)[0]


class _Residuals(NamedTuple):
    x: Features
    local: Features
    kernels: DenseKernels
    groups: Float[Array, "b 6 h w 32"]


def _forward(
    dilation: int, x: Features, local: Features, kernels: DenseKernels
) -> tuple[Features, _Residuals]:
    batch, height, width, _ = x.shape
    groups = jax.ShapeDtypeStruct((batch, _NUM_GROUPS, height, width, GROWTH), x.dtype)

    def by_onednn(x: Features, local: Features, kernels: DenseKernels):
        like = jax.ShapeDtypeStruct(x.shape, x.dtype), groups
        compress, bias, dense, fuse = kernels
        arrays = (x, local, compress, bias, *dense, fuse)
        found = dispatch.call(
            "dense_forward", like, *arrays, dilation=np.int64(dilation)
        )
        return tuple(found)

    def by_xla(x: Features, local: Features, kernels: DenseKernels):
        # The gradient computes the block again and does not read the groups.
        return _by_xla(dilation, x, local, kernels), jnp.zeros(groups.shape, x.dtype)

    y, made = dispatch.choose(by_onednn, by_xla, x, local, kernels)
    return y, _Residuals(x, local, kernels, made)


def _backward(
    dilation: int, residuals: _Residuals, gradient: Features
) -> tuple[Features, Features, DenseKernels]:
    def by_onednn(residuals: _Residuals, gradient: Features):
        x, local, kernels, groups = residuals
        compress, bias, dense, fuse = kernels
        like = [
            jax.ShapeDtypeStruct(array.shape, array.dtype)
            for array in (x, local, compress, bias, *dense, fuse)
        ]
        arrays = (gradient, x, local, groups, compress, *dense, fuse)
        found = dispatch.call(
            "dense_backward", like, *arrays, dilation=np.int64(dilation)
        )
        of_x, of_local, of_compress, of_bias, *of_dense, of_fuse = found
        of_kernels = DenseKernels(of_compress, of_bias, tuple(of_dense), of_fuse)
        return of_x, of_local, of_kernels

    def by_xla(residuals: _Residuals, gradient: Features):
        x, local, kernels, _ = residuals
        return jax.vjp(functools.partial(_by_xla, dilation), x, local, kernels)[1](
            gradient
        )

    return dispatch.choose(by_onednn, by_xla, residuals, gradient)


_by_platform.defvjp(_forward, _backward)
