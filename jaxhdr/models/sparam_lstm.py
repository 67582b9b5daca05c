"""SParam-Net and ConvLSTM-Net together (Oh, Shin, Hong 2021, Fig. 1).

Input: `encoded` in [0, 1]; output: two stages, the pseudo-HDR of SParam-Net and the
HDR of ConvLSTM-Net, linear radiance in the scale of the training data.
"""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxhdr.imaging import color, regions
from jaxhdr.models import conv_lstm
from jaxhdr.models.conv_lstm import ConvLSTMNet
from jaxhdr.models.front import Prior
from jaxhdr.models.sparam import Context, SParam

# Pixels to each side that the decoder sees: half of each kernel.
_DECODER_RADIUS = (
    sum(size // 2 for size, _ in conv_lstm.DECODER_LAYERS)
    + conv_lstm.DECONVOLUTION_SIZE // 2
)


class SParamLSTM(nn.Module):
    """The whole system: 134,494,503 parameters with the paper's backbone.

    Attributes:
      sparam: SParam-Net; the recurrence has as many steps as this has regions.
      conv_lstm: ConvLSTM-Net.
      keep_white: whether channels that the photograph clips are at least white; only in
        scale `ldr_white`.
    """

    sparam: SParam = SParam()
    conv_lstm: ConvLSTMNet = ConvLSTMNet()
    keep_white: bool = False

    @property
    def receptive_radius(self) -> int:
        """Pixels to each side of an output pixel that can change it.

        What the first step reads passes one convolution in each step and one more
        layer.
        """
        steps = self.sparam.num_regions
        return self.sparam.receptive_radius + steps + 1 + _DECODER_RADIUS

    def context(
        self, encoded: Float[Array, "b h w 3"], *, prior: Prior | None = None
    ) -> Context:
        """Returns the curves and the edges of the regions of whole images.

        The prior is that of the front end; see there.
        """
        return self.sparam.context(encoded, prior=prior)

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
