"""SParam-Net and ConvLSTM-Net together (Oh, Shin, Hong 2021, Fig. 1).

Input: `encoded` in [0, 1]; output: two stages, the pseudo-HDR of SParam-Net and the
HDR of ConvLSTM-Net, linear radiance in the scale of the training data.
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxhdr.imaging import color, noise, regions
from jaxhdr.models import conv_lstm, sparam
from jaxhdr.models.sparam import Context, SParam

# Pixels to each side that the decoder sees: half of each kernel.
_DECODER_RADIUS = (
    sum(size // 2 for size, _ in conv_lstm.DECODER_LAYERS)
    + conv_lstm.DECONVOLUTION_SIZE // 2
)


class SParamLSTM(nn.Module):
    """The whole system: 134,494,503 parameters with the paper's backbone.

    Attributes:
      num_regions: N, the steps of the recurrence.
      backbone: as in `SParam`.
      positive: as in `SParam`.
      dropout_rate: as in `SParam`.
      curve_input: as in `SParam`.
      smooth_noise: as in `SParam`.
      peepholes: as in `ConvLSTMNet`.
      shared_prelu: as in `ConvLSTMNet`.
      forget_bias: as in `ConvLSTMNet`.
      head: as in `ConvLSTMNet`.
      peak: as in `ConvLSTMNet`.
      keep_white: whether channels that the photograph clips are at least white; only in
        scale `ldr_white`.
      loop: as in `ConvLSTMNet`.
      remat: as in `ConvLSTMNet`.
      dtype: as in `ConvLSTMNet`; SParam-Net computes in float32.
    """

    num_regions: int = 5
    backbone: str = "vgg16"
    positive: str = "exponential"
    dropout_rate: float = 0.5
    curve_input: str = "encoded"
    smooth_noise: bool = False
    peepholes: bool = False
    shared_prelu: bool = False
    forget_bias: float = 1.0
    head: str = "relu"
    peak: float = 64.0
    keep_white: bool = False
    loop: str = "unrolled"
    remat: bool = False
    dtype: Any = jnp.float32

    def __post_init__(self):
        sparam.check_options(
            num_regions=self.num_regions,
            backbone=self.backbone,
            positive=self.positive,
            dropout_rate=self.dropout_rate,
            curve_input=self.curve_input,
            smooth_noise=self.smooth_noise,
        )
        conv_lstm.check_options(
            head=self.head, loop=self.loop, peak=self.peak, dtype=self.dtype
        )
        super().__post_init__()

    def setup(self):
        self.sparam = SParam(
            num_regions=self.num_regions,
            backbone=self.backbone,
            positive=self.positive,
            dropout_rate=self.dropout_rate,
            curve_input=self.curve_input,
            smooth_noise=self.smooth_noise,
        )
        self.conv_lstm = conv_lstm.ConvLSTMNet(
            peepholes=self.peepholes,
            shared_prelu=self.shared_prelu,
            forget_bias=self.forget_bias,
            head=self.head,
            peak=self.peak,
            loop=self.loop,
            remat=self.remat,
            dtype=self.dtype,
        )

    @property
    def receptive_radius(self) -> int:
        """Pixels to each side of an output pixel that can change it.

        What the first step reads passes one convolution a step and one more layer.
        """
        smoothing = noise.RADIUS if self.smooth_noise else 0
        return smoothing + self.num_regions + 1 + _DECODER_RADIUS

    def context(self, encoded: Float[Array, "b h w 3"]) -> Context:
        """Returns the curve and the edges of the regions of whole images."""
        return self.sparam.context(encoded)

    def __call__(
        self, encoded: Float[Array, "b h w 3"], context: Context | None = None
    ) -> Float[Array, "2 b h w 3"]:
        """Returns the pseudo-HDR and the HDR, which is the answer."""
        if context is None:
            context = self.context(encoded)
        pseudo_hdr = self.sparam(encoded, context)[0]
        maps = regions.region_maps(encoded, context.edges)
        stages = jnp.stack([pseudo_hdr, self.conv_lstm(pseudo_hdr, maps)])
        return color.at_least_white(stages, encoded) if self.keep_white else stages
