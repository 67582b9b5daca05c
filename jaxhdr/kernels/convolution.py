"""One convolution, with bias, sum and ReLU, and its gradients.

Images are NHWC in float32 or a type of 16 bits, and the result has their type. Kernels,
biases and their gradients are float32. The stride is 1.

For a convolution with many outputs, or with very few, XLA's CPU backend takes about six
times as long for the gradient of the kernel as for the same sum written as a matrix
product (`benchmarks/weight_gradient.py` on two cores). So on a CPU without oneDNN these
gradients are matrix products. On other platforms they are standard convolutions.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhdr.kernels import dispatch, library

Image = Float[Array, "_ _ _ _"]
Kernel = Float[Array, "_ _ _ _"]

# Outputs from which, and up to which, the matrix product was faster.
_WIDE = 128
_NARROW = 4

# Side of a kernel from which it is faster to compute its columns together.
_LARGE = 5

_BLOCK = 16  # channels that oneDNN computes together


class _Options(NamedTuple):
    dilation: int
    same: bool
    relu: bool

    def attributes(self) -> dict[str, np.int64]:
        return {"dilation": np.int64(self.dilation), "same": np.int64(self.same)}


def convolve(
    x: Float[Array, "b h w inputs"],
    kernel: Float[Array, "rows columns inputs outputs"],
    *,
    bias: Float[Array, " outputs"] | None = None,
    add: Float[Array, "b _h _w outputs"] | None = None,
    dilation: int = 1,
    same: bool = True,
    relu: bool = False,
) -> Float[Array, "b _h _w outputs"]:
    """Returns x * kernel + bias + add, through a ReLU if wanted.

    Args:
      x: images; the result has their type.
      kernel: kernel with odd sides.
      bias: one value per output channel, or None for no bias.
      add: images of the shape and type of the result, or None to add nothing.
      dilation: distance between neighbouring taps of the kernel, in pixels.
      same: whether to pad with zeros so that the size is kept; otherwise no padding.
      relu: whether to set negative results to 0.
    """
    rows, columns, _, outputs = kernel.shape
    is_plain = add is None and dilation == 1 and same and not relu
    if is_plain and min(rows, columns) >= _LARGE and outputs <= _NARROW:
        if library.supports(x.dtype):
            return _by_columns(x, kernel, bias)
    options = _Options(dilation, same, relu)
    none = jnp.zeros(0, jnp.float32)
    return _convolve(
        options,
        x,
        kernel,
        none if bias is None else bias,
        none.astype(x.dtype) if add is None else add,
    )


def _by_columns(x: Image, kernel: Kernel, bias: Array | None) -> Image:
    """Returns x * kernel + bias, with the columns of the kernel as further outputs.

    oneDNN computes at least 16 outputs, so that fewer cost it as much. One convolution
    by a kernel of one column has the sums of all columns as its outputs; they are then
    shifted and added.
    """
    rows, columns, inputs, outputs = kernel.shape
    together = kernel.transpose(0, 2, 1, 3).reshape(rows, 1, inputs, -1)
    parts = convolve(x, together)
    margin, width = columns // 2, x.shape[2]
    parts = jnp.pad(parts, ((0, 0), (0, 0), (margin, margin), (0, 0)))
    y = jnp.zeros((*parts.shape[:2], width, outputs), x.dtype)
    for i in range(columns):
        y = y + parts[:, :, i : i + width, i * outputs : (i + 1) * outputs]
    return y if bias is None else y + bias.astype(x.dtype)[None, None, None]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolve(
    options: _Options, x: Image, kernel: Kernel, bias: Array, add: Array
) -> Image:
    by_xla = functools.partial(_by_xla, options)
    if not library.supports(x.dtype):
        return by_xla(x, kernel, bias, add)
    by_onednn = functools.partial(_by_onednn, options)
    return dispatch.choose(by_onednn, by_xla, x, kernel, bias, add)


def _by_onednn(
    options: _Options, x: Image, kernel: Kernel, bias: Array, add: Array
) -> Image:
    shape = jax.eval_shape(functools.partial(_by_xla, options), x, kernel, bias, add)
    attributes = options.attributes() | {"relu": np.int64(options.relu)}
    return dispatch.call("forward", shape, x, kernel, bias, add, **attributes)


def _by_xla(
    options: _Options, x: Image, kernel: Kernel, bias: Array, add: Array
) -> Image:
    y = _product(options, x, kernel.astype(x.dtype))
    if bias.size:
        y = y + bias.astype(x.dtype)[None, None, None]
    if add.size:
        y = y + add
    return jnp.maximum(y, 0) if options.relu else y


def _product(options: _Options, x: Image, kernel: Kernel) -> Image:
    if kernel.shape[:2] == (1, 1):
        return x @ kernel[0, 0]
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1, 1),
        padding="SAME" if options.same else "VALID",
        rhs_dilation=(options.dilation, options.dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


class _Residuals(NamedTuple):
    x: Image
    kernel: Kernel
    bias: Array
    add: Array
    y: Image | None


def _forward(
    options: _Options, x: Image, kernel: Kernel, bias: Array, add: Array
) -> tuple[Image, _Residuals]:
    y: Any = _convolve(options, x, kernel, bias, add)
    # The gradient needs to know whether something was added, but not its values, and of
    # the result only where it is positive.
    add = add[:0] if add.ndim > 1 else add
    return y, _Residuals(x, kernel, bias, add, y if options.relu else None)


def _backward(
    options: _Options, residuals: _Residuals, gradient: Image
) -> tuple[Image, Kernel, Array, Array]:
    x, kernel, bias, add, y = residuals
    if y is not None:
        gradient = jnp.where(y > 0, gradient, 0)
    by_xla = functools.partial(_backward_by_xla, options)
    if library.supports(x.dtype):
        by_onednn = functools.partial(_backward_by_onednn, options)
        of_x, of_kernel, of_bias = dispatch.choose(
            by_onednn, by_xla, x, kernel, bias, gradient
        )
    else:
        of_x, of_kernel, of_bias = by_xla(x, kernel, bias, gradient)
    return of_x, of_kernel, of_bias, gradient if add.ndim > 1 else add


_convolve.defvjp(_forward, _backward)


def _backward_by_onednn(
    options: _Options, x: Image, kernel: Kernel, bias: Array, gradient: Image
) -> tuple[Image, Kernel, Array]:
    attributes = options.attributes()
    like = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (x, kernel, bias)]
    of_x = dispatch.call("backward_input", like[0], gradient, kernel, **attributes)
    if options.dilation > 1 and x.shape[-1] % _BLOCK:
        # oneDNN 3.2 computes wrong gradients for the last channels in bfloat16.
        x, gradient = x.astype(jnp.float32), gradient.astype(jnp.float32)
    of_kernel, of_bias = dispatch.call(
        "backward_kernel", like[1:], x, gradient, **attributes
    )
    return of_x, of_kernel, of_bias


def _backward_by_xla(
    options: _Options, x: Image, kernel: Kernel, bias: Array, gradient: Image
) -> tuple[Image, Kernel, Array]:
    cast = kernel.astype(x.dtype)
    of_x = jax.linear_transpose(lambda x: _product(options, x, cast), x)(gradient)[0]

    def by_convolution(x: Image, gradient: Image) -> Kernel:
        transposed = jax.linear_transpose(lambda k: _product(options, x, k), cast)
        return transposed(gradient)[0]

    of_kernel = by_convolution
    size, outputs = len(kernel), kernel.shape[-1]
    plain = options.dilation == 1 and options.same and size == kernel.shape[1] > 1
    if plain and (outputs >= _WIDE or outputs <= _NARROW):
        by_product = _unfold_input if outputs >= _WIDE else _unfold_gradient
        of_kernel = functools.partial(
            jax.lax.platform_dependent,
            cpu=functools.partial(by_product, size=size),
            default=by_convolution,
        )
    of_bias = bias
    if bias.size:
        of_bias = gradient.astype(bias.dtype).sum((0, 1, 2))
    return of_x, of_kernel(x, gradient).astype(kernel.dtype), of_bias


def _unfold_input(x: Image, gradient: Image, *, size: int) -> Kernel:
    columns = _unfold(x, size).reshape(-1, size * size * x.shape[-1])
    of_kernel = gradient.reshape(-1, gradient.shape[-1]).T @ columns
    return of_kernel.T.reshape(size, size, x.shape[-1], gradient.shape[-1])


def _unfold_gradient(x: Image, gradient: Image, *, size: int) -> Kernel:
    outputs = gradient.shape[-1]
    columns = _unfold(gradient, size)[:, :, :, ::-1].reshape(-1, size * size * outputs)
    of_kernel = x.reshape(-1, x.shape[-1]).T @ columns
    of_kernel = of_kernel.reshape(x.shape[-1], size, size, outputs)
    return of_kernel.transpose(1, 2, 0, 3)


def _unfold(image: Image, size: int) -> Float[Array, "b h w offsets c"]:
    """Returns for each pixel all pixels under a kernel centred on it, row by row."""
    _, height, width, _ = image.shape
    margin = size // 2
    padded = jnp.pad(image, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    shifted = [
        padded[:, i : i + height, j : j + width]
        for i in range(size)
        for j in range(size)
    ]
    return jnp.stack(shifted, axis=3)
