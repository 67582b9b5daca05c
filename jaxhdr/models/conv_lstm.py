"""ConvLSTM-Net: reads the region maps from bright to dark and decodes them to HDR.

Oh, Shin, Hong (2021), section 2.2 and Fig. 6: two convolutional LSTM layers (Shi et
al. 2015, "Convolutional LSTM Network", equation 3) read one region map in each step,
together with the pseudo-HDR; the decoder of FSRCNN (Dong et al. 2016) turns the last
hidden state into the image. There is no down- or upsampling. Radiance is linear and in
the scale of the pseudo-HDR; hidden states start at zero in every call.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxhdr import kernels
from jaxhdr.errors import check_choice, check_number
from jaxhdr.imaging import color
from jaxhdr.models import loops
from jaxhdr.models.checks import check_dtype
from jaxhdr.models.layers import Convolution, Initializer, Weights

ENCODER_WIDTHS = (64, 6)  # section 2.2: Conv(3, 64, 6), Conv(3, 6, 64)
# Section 2.2: (kernel size, width) of the decoder before its deconvolution.
DECODER_LAYERS = ((5, 64), (1, 12), (3, 12), (3, 12), (3, 12), (3, 12), (1, 64))
DECONVOLUTION_SIZE = 9  # section 2.2

HEADS = ("relu", "residual")
LOOPS = ("unrolled", "rolled")  # of `loops.LOOPS`

Features = Float[Array, "b h w _"]


class CellWeights(nn.Module):
    """The parameters of a convolutional LSTM layer; the gates are one convolution.

    Attributes:
      features: width of the cell and of the hidden state.
      peepholes: whether the gates see the cell, through one weight per channel.
      forget_bias: constant added to the forget gate, so that a cell keeps what it has
        read when training starts (Jozefowicz, Zaremba, Sutskever 2015, section 5).
    """

    features: int
    peepholes: bool = False
    forget_bias: float = 1.0

    @nn.compact
    def __call__(self, inputs: int) -> kernels.LstmWeights:
        gates = Weights(
            4 * self.features, kernel_init=_by_fan_in_of_each(inputs), name="gates"
        )
        kernel, bias = gates(inputs + self.features)
        assert bias is not None
        bias = bias.at[self.features : 2 * self.features].add(self.forget_bias)
        return kernels.LstmWeights(kernel, bias, self._peephole_weights())

    def _peephole_weights(self) -> Float[Array, "3 _"] | None:
        if not self.peepholes:
            return None
        names = ("peep_write", "peep_forget", "peep_output")
        zeros = nn.initializers.zeros
        return jnp.stack([self.param(name, zeros, (self.features,)) for name in names])


def _by_fan_in_of_each(inputs: int) -> nn.initializers.Initializer:
    """Returns an initializer for kernels over `inputs` channels and the hidden state.

    Each of the two parts is scaled by its own number of channels. Scaled by their sum,
    the weights of the first layer's six inputs would be as small as those of its 64
    hidden channels, and training would start slowly.
    """
    normal = nn.initializers.lecun_normal()

    def initialise(key, shape, dtype=jnp.float32):
        keys = jax.random.split(key)
        widths = (inputs, shape[2] - inputs)
        parts = [
            normal(key, (*shape[:2], width, shape[3]), dtype)
            for key, width in zip(keys, widths, strict=True)
        ]
        return jnp.concatenate(parts, axis=2)

    return initialise


class _Step(nn.Module):
    """One step of the recurrence, of all layers."""

    def __call__(
        self,
        states: tuple[kernels.LstmState | None, ...],
        x: Features,
        weights: tuple[kernels.LstmWeights, ...],
    ) -> tuple[tuple[kernels.LstmState, ...], None]:
        """Returns the states of the layers after one region map, and no output."""
        after: list[kernels.LstmState] = []
        for state, of_layer in zip(states, weights, strict=True):
            after.append(kernels.lstm_step(x, state, of_layer))
            x = after[-1].hidden
        return tuple(after), None


class Encoder(nn.Module):
    """The recurrence over the regions.

    Attributes:
      peepholes: as in `CellWeights`.
      forget_bias: as in `CellWeights`.
      loop: as in `ConvLSTMNet`.
      remat: as in `ConvLSTMNet`.
    """

    peepholes: bool
    forget_bias: float
    loop: str
    remat: bool

    @nn.compact
    def __call__(self, inputs: Float[Array, "regions b h w 6"]) -> Features:
        """Returns the last hidden state of the last layer."""
        widths, weights = (inputs.shape[-1], *ENCODER_WIDTHS), []
        for i, width in enumerate(ENCODER_WIDTHS):
            layer = CellWeights(
                width, self.peepholes, self.forget_bias, name=f"layer_{i + 1}"
            )
            weights.append(layer(widths[i]))
        step = nn.remat(_Step, prevent_cse=False) if self.remat else _Step
        # The first step has no state to convolve.
        none = (None,) * len(weights)
        states, _ = step()(none, inputs[0], tuple(weights))
        if len(inputs) > 1:
            states, _ = loops.repeat(
                _Step,
                {},
                states,
                inputs[1:],
                tuple(weights),
                loop=self.loop,
                remat=self.remat,
            )
        return states[-1].hidden


class PReLU(nn.Module):
    """max(x, slope x) with a learned slope that starts at 0.25.

    He et al. (2015), "Delving Deep into Rectifiers", section 2.1.

    Attributes:
      shared: whether all channels have one slope; otherwise each has its own.
    """

    shared: bool = False

    @nn.compact
    def __call__(self, x: Features) -> Features:
        shape = (1,) if self.shared else (x.shape[-1],)
        slope = self.param("slope", nn.initializers.constant(0.25), shape)
        # In float32, as is the sum over pixels in the slope's gradient.
        return jnp.where(x >= 0, x, slope[None, None, None] * x).astype(x.dtype)


class Decoder(nn.Module):
    """FSRCNN with stride 1: its result has the size of its input.

    Attributes:
      shared_prelu: as in `ConvLSTMNet`.
      last_kernel_init: start of the last layer's kernel.
      last_bias: start of the last layer's biases.
      dtype: compute type of all layers but the last, which computes in float32.
    """

    shared_prelu: bool
    last_kernel_init: Initializer
    last_bias: float
    dtype: Any

    @nn.compact
    def __call__(self, x: Features) -> Float[Array, "b h w 3"]:
        for i, (size, width) in enumerate(DECODER_LAYERS, 1):
            x = Convolution(
                width,
                size,
                kernel_init=nn.initializers.he_normal(),
                dtype=self.dtype,
                name=f"convolution_{i}",
            )(x)
            x = PReLU(self.shared_prelu, name=f"prelu_{i}")(x)
        # With a stride of 1 a transposed convolution is a convolution.
        return Convolution(
            3,
            DECONVOLUTION_SIZE,
            kernel_init=self.last_kernel_init,
            bias_init=nn.initializers.constant(self.last_bias),
            name="deconvolution",
        )(x)


class ConvLSTMNet(nn.Module):
    """ConvLSTM-Net; 208,743 parameters and those of the PReLUs (188, shared 7).

    It sows `live_output`, the share of outputs that the head does not cut off.

    Attributes:
      peepholes: as in `CellWeights`; the paper does not say whether it has them.
      shared_prelu: whether a PReLU has one slope instead of one per channel; the paper
        does not say. FSRCNN has one per channel.
      forget_bias: as in `CellWeights`.
      head: what the decoder predicts.
        `relu`: radiance, through the final ReLU (the paper). It starts at 0.5, the
        mean of scale `mean_half`. The ReLU passes the gradient also where it cuts off,
        so that an output that is below zero everywhere can come back.
        `residual`: a correction of the mu-law code of the pseudo-HDR, zero at the
        start, so that training starts at the pseudo-HDR. The layers read that code
        too: radiance is unbounded and would saturate the gates.
      peak: for `residual`, the radiance of code 1, and so the largest result.
      loop: how the steps run, one of `LOOPS`; see `jaxhdr.models.loops`.
      remat: whether the backward pass computes each step again instead of storing it.
      dtype: compute type of all layers but the last, which stays float32, as do the
        cells and the parameters.
    """

    peepholes: bool = False
    shared_prelu: bool = False
    forget_bias: float = 1.0
    head: str = "relu"
    peak: float = 64.0
    loop: str = "unrolled"
    remat: bool = False
    dtype: Any = jnp.float32

    def __post_init__(self):
        check_choice("head", self.head, HEADS)
        check_choice("loop", self.loop, LOOPS)
        check_number("peak", self.peak, above=0)
        check_dtype(self.dtype)
        super().__post_init__()

    @nn.compact
    def __call__(
        self,
        pseudo_hdr: Float[Array, "b h w 3"],
        region_maps: Float[Array, "regions b h w 3"],
    ) -> Float[Array, "b h w 3"]:
        """Returns the HDR image.

        Args:
          pseudo_hdr: radiance by the S-curve of SParam-Net.
          region_maps: the encoded values of each region, the brightest first.
        """
        residual = self.head == "residual"
        code = pseudo_hdr
        if residual:
            code = color.peak_code(pseudo_hdr, peak=self.peak)
        repeated = jnp.broadcast_to(code[None], region_maps.shape)
        inputs = jnp.concatenate([repeated, region_maps], axis=-1).astype(self.dtype)
        encoder = Encoder(
            self.peepholes, self.forget_bias, self.loop, self.remat, name="encoder"
        )
        features = encoder(inputs)
        decoder = Decoder(
            self.shared_prelu,
            nn.initializers.zeros if residual else nn.initializers.lecun_normal(),
            0.0 if residual else 0.5,
            self.dtype,
            name="decoder",
        )
        output = decoder(features)
        if residual:
            output = output + code
        self.sow("intermediates", "live_output", (output > 0).mean())
        if not residual:
            return relu_straight_through(output)
        return color.peak_radiance(output, peak=self.peak)


@jax.custom_jvp
def relu_straight_through(x: Features) -> Features:
    """Returns max(x, 0) with the gradient of `x` itself."""
    return jnp.maximum(x, 0.0)


@relu_straight_through.defjvp
def _relu_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return relu_straight_through(*primals), tangents[0]
