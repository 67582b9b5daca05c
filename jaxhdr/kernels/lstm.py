"""One step of a convolutional LSTM (Shi et al. 2015, equation 3) in one call.

One 3 x 3 convolution computes all gates. On a CPU with oneDNN it is computed a few rows
at a time, and the cell is updated from its sums while they are in the cache. Elsewhere
XLA computes the convolution and then the elementwise functions. The cell and all
arithmetic on gates are float32, whatever the type of the images is.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhdr.kernels import dispatch, library
from jaxhdr.kernels.convolution import convolve

Features = Float[Array, "b h w _"]


class LstmState(NamedTuple):
    """What one step passes to the next.

    Attributes:
      cell: the cell, in float32.
      hidden: the hidden state, in the type of the images; it is the step's output.
    """

    cell: Features
    hidden: Features


class LstmWeights(NamedTuple):
    """The parameters of a layer, float32.

    Attributes:
      kernel: kernel whose outputs are the gates write, forget, candidate and output, in
        this order, and whose inputs are `x` and then the hidden state.
      bias: bias of the gates.
      peepholes: weights of the cell in the write, forget and output gates, or None.
    """

    kernel: Float[Array, "3 3 _ gates"]
    bias: Float[Array, " gates"]
    peepholes: Float[Array, "3 _"] | None = None


def lstm_step(x: Features, state: LstmState | None, weights: LstmWeights) -> LstmState:
    """Returns the state after reading `x`.

    Args:
      x: images; the hidden state has their type.
      state: state before the step; None for zeros, whose convolution is skipped.
      weights: parameters of the layer.
    """
    if state is None:
        cell, hidden = jnp.zeros(0, jnp.float32), jnp.zeros(0, x.dtype)
    else:
        cell, hidden = state
    if weights.peepholes is not None or not library.supports(x.dtype):
        return LstmState(*_by_xla(x, hidden, cell, weights))
    return LstmState(*_by_platform(x, hidden, cell, weights))


State = tuple[Features, Features]


def _by_xla(x: Features, hidden: Array, cell: Array, weights: LstmWeights) -> State:
    kernel, bias, peepholes = weights
    if hidden.size:
        x_and_hidden = jnp.concatenate([x, hidden], axis=-1)
    else:
        x_and_hidden, kernel = x, kernel[:, :, : x.shape[-1]]
    sums = convolve(x_and_hidden, kernel, bias=bias).astype(jnp.float32)
    write, forget, candidate, output = jnp.split(sums, 4, axis=-1)
    if peepholes is None:
        peepholes = jnp.zeros((3, 1))
    of_write, of_forget, of_output = peepholes[:, None, None, None]
    if cell.size:
        forget = jax.nn.sigmoid(forget + of_forget * cell)
        write = jax.nn.sigmoid(write + of_write * cell)
        cell = forget * cell + write * jnp.tanh(candidate)
    else:
        cell = jax.nn.sigmoid(write) * jnp.tanh(candidate)
    output = jax.nn.sigmoid(output + of_output * cell)
    return cell, (output * jnp.tanh(cell)).astype(x.dtype)


@jax.custom_vjp
def _by_platform(
    x: Features, hidden: Array, cell: Array, weights: LstmWeights
) -> State:
    return _run(x, hidden, cell, weights, keep_gates=False)[:2]


def _run(
    x: Features, hidden: Array, cell: Array, weights: LstmWeights, *, keep_gates: bool
) -> tuple[Features, Features, Array]:
    """Returns the cell, the hidden state, and the gates or an empty array.

    Args:
      x: images.
      hidden: hidden state before the step; empty in the first step.
      cell: cell before the step; empty in the first step.
      weights: parameters of the layer.
      keep_gates: whether to return the gates, which the gradient needs.
    """
    num_gates = weights.kernel.shape[-1]
    pixels = x.shape[:3]
    of_gates = (*pixels, num_gates) if keep_gates else (0,)

    def by_onednn(x: Features, hidden: Array, cell: Array, weights: LstmWeights):
        like = [
            jax.ShapeDtypeStruct((*pixels, num_gates // 4), x.dtype),
            jax.ShapeDtypeStruct((*pixels, num_gates // 4), jnp.float32),
            jax.ShapeDtypeStruct(of_gates, jnp.float32),
        ]
        arrays = (x, hidden, cell, weights.kernel, weights.bias)
        hidden, cell, gates = dispatch.call(
            "lstm_forward", like, *arrays, dilation=np.int64(1)
        )
        return cell, hidden, gates

    def by_xla(x: Features, hidden: Array, cell: Array, weights: LstmWeights):
        # The gradient computes the step again and does not read the gates.
        cell, hidden = _by_xla(x, hidden, cell, weights)
        return cell, hidden, jnp.zeros(of_gates, jnp.float32)

    return dispatch.choose(by_onednn, by_xla, x, hidden, cell, weights)


class _Residuals(NamedTuple):
    x: Features
    hidden: Array
    cell: Array
    weights: LstmWeights
    cell_after: Features
    gates: Features


def _forward(
    x: Features, hidden: Array, cell: Array, weights: LstmWeights
) -> tuple[State, _Residuals]:
    after, made, gates = _run(x, hidden, cell, weights, keep_gates=True)
    return (after, made), _Residuals(x, hidden, cell, weights, after, gates)


def _backward(
    residuals: _Residuals, gradients: State
) -> tuple[Features, Array, Array, LstmWeights]:
    def by_onednn(residuals: _Residuals, gradients: State):
        x, hidden, cell, weights, cell_after, gates = residuals
        of_cell, of_hidden = gradients
        like = [
            jax.ShapeDtypeStruct(array.shape, array.dtype)
            for array in (x, hidden, cell_after, weights.kernel, weights.bias)
        ]
        arrays = (of_hidden, of_cell, x, hidden, cell, weights.kernel)
        of_x, of_before, of_cell_before, of_kernel, of_bias = dispatch.call(
            "lstm_backward", like, *arrays, cell_after, gates, dilation=np.int64(1)
        )
        if not cell.size:
            of_cell_before = cell
        return of_x, of_before, of_cell_before, LstmWeights(of_kernel, of_bias)

    def by_xla(residuals: _Residuals, gradients: State):
        x, hidden, cell, weights, *_ = residuals
        return jax.vjp(_by_xla, x, hidden, cell, weights)[1](gradients)

    return dispatch.choose(by_onednn, by_xla, residuals, gradients)


_by_platform.defvjp(_forward, _backward)
