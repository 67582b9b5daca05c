"""FHDR: a feedback network that refines its HDR estimate over T iterations.

Khan, Khanna, Raman (2019), "FHDR: HDR Image Reconstruction from a Single LDR Image
using Feedback Network". The paper's names of the layers are kept: `feb` for the
feature extraction block, `gff` for global feature fusion, `hrb` for the HDR
reconstruction block.

Input: `encoded` in [0, 1]. Output: one estimate of the radiance for each iteration
("stages"), in [0, `peak`]; 1.0 is the radiance that just clips the input (scale
`ldr_white`). The layers of an iteration are in `jaxhdr.models.feedback`. Hidden states
live inside one call.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxhdr import kernels
from jaxhdr.errors import UserError, check_choice, check_count, check_number
from jaxhdr.imaging import color
from jaxhdr.models.checks import check_dtype
from jaxhdr.models.feedback import FEATURES, Features, Iteration
from jaxhdr.models.front import Front, FrontContext, Prior
from jaxhdr.models.layers import Convolution, Initializer
from jaxhdr.models.loops import LOOPS, repeat

DENSE_BLOCKS = 3  # the paper, section II-C
_GFF_RADIUS = 1
_INPUT_RADIUS = 2  # feb1, feb2
_OUTPUT_RADIUS = 2  # hrb1, hrb2

HEADS = ("tanh", "mu_law", "residual")


class FHDR(nn.Module):
    """The feedback network; 571,267 parameters for every number of iterations.

    The front end has parameters of its own, which are not counted here.

    Attributes:
      front: the front end, which turns the photograph into radiance. The network sees
        that radiance as an sRGB camera would have encoded it.
      num_iterations: T, the number of stages returned.
      head: what the last layer predicts.
        `tanh`: radiance, (tanh + 1) / 2 of `peak` (the paper).
        `mu_law`: the mu-law code (`color.mu_law`) of radiance / `peak`, so the paper's
        L1 in the compressed domain is plain L1 on the output and dark pixels keep
        precision.
        `residual`: as `mu_law`, added to the code of the radiance that the layers see,
        so training starts at the linearised photograph.
      peak: the largest radiance that can be returned, in units of `ldr_white`.
      keep_white: whether the result is at least 1.0, white, in the channels that the
        photograph clips; only in scale `ldr_white`.
      dilations: dilation of each dense block; the official code has 2 everywhere, the
        paper says only "dilated".
      detach_hidden: whether no gradient passes from one iteration to the one before
        (the official code); the paper propagates back through time.
      initial_gain: the standard deviation of a kernel starts at gain / sqrt(fan in).
        Without normalisation a gain of 1 lets activations grow through the dense
        concatenations until all inputs of the ReLU of `hrb1` are negative, where it has
        no gradient. A gain of 0.7 prevents this.
      zero_last_layer: whether `hrb2` starts at zero. None, the default: only for the
        head `residual`.
      dtype: compute type of all layers but the last, which stays float32, as do the
        parameters.
      remat: whether the backward pass computes each iteration again instead of storing
        it.
      loop: how the iterations run, one of `loops.LOOPS`.
    """

    front: Front = Front()
    num_iterations: int = 4
    head: str = "mu_law"
    peak: float = 64.0
    keep_white: bool = False
    dilations: Sequence[int] = (2, 2, 2)
    detach_hidden: bool = False
    initial_gain: float = 0.7
    zero_last_layer: bool | None = None
    dtype: Any = jnp.float32
    remat: bool = False
    loop: str = "unrolled"

    def __post_init__(self):
        check_choice("head", self.head, HEADS)
        check_choice("loop", self.loop, LOOPS)
        check_count("num_iterations", self.num_iterations)
        # A configuration read from a file has lists.
        self.dilations = tuple(self.dilations)
        is_count = [type(d) is int and d > 0 for d in self.dilations]
        if not all(is_count) or len(is_count) != DENSE_BLOCKS:
            raise UserError(
                f"dilations is {self.dilations!r}; expected {DENSE_BLOCKS} integers "
                "of at least 1"
            )
        check_number("peak", self.peak, above=0)
        check_number("initial_gain", self.initial_gain, above=0)
        check_dtype(self.dtype)
        super().__post_init__()

    def setup(self):
        # Weight files from before there was a front end name the parameters of its
        # estimate `response`, not `front/response`.
        nn.share_scope(self, self.front)

    @property
    def receptive_radius(self) -> int:
        """Pixels to each side of an output pixel that can change it."""
        iteration = kernels.NUM_LAYERS * sum(self.dilations) + _GFF_RADIUS
        radius = _INPUT_RADIUS + self.num_iterations * iteration + _OUTPUT_RADIUS
        return self.front.receptive_radius + radius

    def context(
        self, encoded: Float[Array, "b h w 3"], *, prior: Prior | None = None
    ) -> FrontContext:
        """Returns what the front end knows of whole images; see there."""
        return self.front.context(encoded, prior=prior)

    @nn.compact
    def __call__(
        self, encoded: Float[Array, "b h w 3"], context: FrontContext | None = None
    ) -> Float[Array, "stages b h w 3"]:
        """Returns one HDR estimate per iteration, the last is the answer."""
        if context is None:
            context = self.context(encoded)
        seen = self.front.as_srgb(encoded, context)
        kernel_init = nn.initializers.variance_scaling(
            self.initial_gain**2, "fan_in", "truncated_normal"
        )
        options: dict[str, Any] = {
            "relu": True,
            "kernel_init": kernel_init,
            "dtype": self.dtype,
        }
        feb1 = Convolution(FEATURES, reflect=True, name="feb1", **options)
        feb2 = Convolution(FEATURES, name="feb2", **options)
        low_level = feb1(seen * 2 - 1)
        outputs = self._iterate(low_level, feb2(low_level), kernel_init)
        # One at a time: if a caller uses the last stage only, XLA leaves out the rest.
        stages = [self._to_radiance(output, seen) for output in outputs]
        if self.keep_white:
            stages = [color.at_least_white(stage, encoded) for stage in stages]
        return jnp.stack(stages)

    def _iterate(
        self, low_level: Features, features: Features, kernel_init: Initializer
    ) -> Float[Array, "stages b h w 3"]:
        zero_last = self.zero_last_layer
        if zero_last is None:
            zero_last = self.head == "residual"
        fields = {
            "name": "iteration",
            "dilations": self.dilations,
            "kernel_init": kernel_init,
            "last_kernel_init": nn.initializers.zeros if zero_last else kernel_init,
            "dtype": self.dtype,
            "detach_hidden": self.detach_hidden,
        }
        # The state of the whole block, and that of each of its dense blocks.
        hidden = (features,) * (1 + DENSE_BLOCKS)
        is_first = jnp.arange(self.num_iterations) == 0
        _, outputs = repeat(
            Iteration,
            fields,
            hidden,
            is_first,
            low_level,
            features,
            # One iteration needs no scan, whose gradient is slow on the CPU.
            loop="python" if self.num_iterations == 1 else self.loop,
            remat=self.remat,
        )
        return outputs

    def _to_radiance(
        self, output: Float[Array, "b h w 3"], seen: Float[Array, "b h w 3"]
    ) -> Float[Array, "b h w 3"]:
        if self.head == "tanh":
            return self.peak * (jnp.tanh(output) + 1) / 2
        if self.head == "residual":
            output = output + color.mu_law(color.srgb_decode(seen) / self.peak)
        return color.peak_radiance(output, peak=self.peak)
