"""FHDR: a feedback network that refines its HDR estimate over T iterations.

Khan, Khanna, Raman (2019), "FHDR: HDR Image Reconstruction from a Single LDR Image
using Feedback Network". Input: `encoded` in [0, 1]; output: `hdr` stages in
[0, `peak`], where 1.0 is the radiance that just clips the input (scale `ldr_white`).
Layer widths, which layers have biases, and the padding modes follow the paper and,
where it is silent, its official code; hidden states live inside one call.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from jaxhdr import kernels
from jaxhdr.errors import UserError
from jaxhdr.imaging import color, noise
from jaxhdr.models import response
from jaxhdr.models.layers import Convolution, Weights, check_dtype

FEATURES = kernels.FEATURES
_DENSE_BLOCKS = 3  # section II-C
_GFF_RADIUS = 1
_INPUT_RADIUS = 2  # feb1, feb2
_OUTPUT_RADIUS = 2  # hrb1, hrb2

HEADS = ("tanh", "mu_law", "residual")
LINEARISATIONS = ("srgb", "estimated")
LOOPS = ("unrolled", "rolled", "python")

Features = Float[Array, "b h w _"]
Layer = functools.partial
"""Makes a `Convolution`; holds `kernel_init` and `dtype`."""


class Context(NamedTuple):
    """What a part of an image needs to know of the whole."""

    stretch: response.Stretch | None = None
    """The camera's response, of `models.response`, where it is estimated."""
    noise: Float[Array, " b"] | None = None
    """The standard deviation of the noise, where it is smoothed."""


class DilatedDenseBlock(nn.Module):
    """Four dilated convolutions, each fed by all before it, between two 1x1 (Fig. 3).

    `local` is the block's own output of the previous iteration.
    """

    convolution: Layer
    dilation: int

    @nn.compact
    def __call__(self, x: Features, local: Features) -> Features:
        weights = functools.partial(
            Weights, kernel_init=self.convolution.keywords["kernel_init"]
        )
        compress, bias = weights(FEATURES, 1, name="compress")(2 * FEATURES)
        assert bias is not None
        dense = [
            weights(kernels.GROWTH, use_bias=False, name=f"dense_{i}")(
                FEATURES + i * kernels.GROWTH
            )[0]
            for i in range(kernels.NUM_LAYERS)
        ]
        joined = FEATURES + kernels.NUM_LAYERS * kernels.GROWTH
        fuse, _ = weights(FEATURES, 1, use_bias=False, name="fuse")(joined)
        dtype = self.convolution.keywords["dtype"]
        return kernels.dense_block(
            x.astype(dtype),
            local.astype(dtype),
            kernels.DenseKernels(compress, bias, tuple(dense), fuse),
            dilation=self.dilation,
        )


class FeedbackBlock(nn.Module):
    """One iteration of the feedback block (Fig. 2).

    The hidden state is `(global, local 1, ..., local n)`: the block's own output and
    the outputs of its dense blocks. At the first iteration there is no feedback:
    the global state is the extracted features (section II-B) and, as the paper does
    not say, each local state is its block's own input, as in the official code.
    """

    convolution: Layer
    dilations: tuple[int, ...]

    @nn.compact
    def __call__(
        self, features: Features, hidden: tuple[Features, ...], is_first: Array
    ) -> tuple[Features, tuple[Features, ...]]:
        weights = Weights(
            FEATURES,
            1,
            kernel_init=self.convolution.keywords["kernel_init"],
            name="compress_in",
        )
        kernel, bias = weights(2 * FEATURES)
        # The half of the features is the same in each iteration: computed once.
        constant = kernels.convolve(features, kernel[:, :, :FEATURES], bias=bias)
        x = kernels.convolve(hidden[0], kernel[:, :, FEATURES:], add=constant)
        outputs = []
        for i, local in enumerate(hidden[1:], start=1):
            local = jnp.where(is_first, x, local)
            dilation = self.dilations[i - 1]
            block = DilatedDenseBlock(self.convolution, dilation, name=f"block_{i}")
            x = block(x, local)
            outputs.append(x)
        x = self.convolution(FEATURES, relu=True, name="gff")(x)
        return x, (x, *outputs)


class _Iteration(nn.Module):
    """One step of the scan: feedback block, global residual, reconstruction block.

    Sows `live_features`, the share of the features of `hrb1` that are positive in any
    pixel: at 0 the network is dead though its loss may look fine.
    """

    convolution: Layer
    dilations: tuple[int, ...]
    last_kernel_init: Any
    detach_hidden: bool

    @nn.compact
    def __call__(
        self,
        hidden: tuple[Features, ...],
        is_first: Array,
        low_level: Features,
        features: Features,
    ) -> tuple[tuple[Features, ...], Float[Array, "b h w 3"]]:
        block = FeedbackBlock(self.convolution, self.dilations, name="feedback_block")
        x, hidden = block(features, hidden, is_first)
        x = self.convolution(FEATURES, relu=True, name="hrb1")(x + low_level)
        self.sow("intermediates", "live_features", (x > 0).any((0, 1, 2)).mean())
        last = self.convolution(
            3,
            reflect=True,
            kernel_init=self.last_kernel_init,
            dtype=jnp.float32,
            name="hrb2",
        )
        output = last(x.astype(jnp.float32))
        if self.detach_hidden:
            hidden = jax.lax.stop_gradient(hidden)
        return hidden, output


class FHDR(nn.Module):
    """The feedback network; 571,267 parameters for every number of iterations.

    Attributes:
      linearisation: what the network sees of the photograph.
        `srgb`: its values, as if every camera encoded as sRGB.
        `estimated`: the values that sRGB would have, after the camera's response has
        been estimated from the whole image and undone (`models.response`, 92,174
        parameters more). It is trained alone first and gets no gradient here.
      smooth_noise: whether the noise of the photograph, measured in its dark pixels, is
        smoothed out of what the network sees and starts from (`models.noise`).
      num_iterations: T, the number of stages returned.
      head: what the last layer predicts.
        `tanh`: radiance, (tanh + 1) / 2 of `peak` (the paper).
        `mu_law`: the mu-law code of radiance / `peak`, so the paper's L1 in the
        compressed domain is plain L1 on the output and dark pixels keep precision.
        `residual`: as `mu_law`, added to the code of the sRGB-decoded input, so
        training starts at the linearised photograph.
      peak: the largest radiance that can be returned, in units of `ldr_white`.
      keep_white: whether channels that the photograph clips are at least white; only in
        scale `ldr_white`.
      dilations: of each dense block; the official code has 2 everywhere, the paper says
        only "dilated".
      detach_hidden: no gradient from one iteration to the one before (the official
        code); the paper propagates back through time.
      initial_gain: standard deviation of a kernel is gain / sqrt(fan in). Without
        normalisation a gain of 1 lets activations grow through the dense
        concatenations until every ReLU of `hrb1` is dead; 0.7 keeps them alive.
      zero_last_layer: start `hrb2` at zero. Default: only for `residual`.
      dtype: compute type of all layers but the last, which stays float32, as do the
        parameters.
      remat: recompute each iteration in the backward pass instead of storing it.
      loop: how the iterations run; parameters and results are the same.
        `unrolled`: `nn.scan`, all steps compiled in line. XLA's CPU backend computes
        the gradients of convolutions inside a loop 15 times slower.
        `rolled`: `nn.scan`, one step compiled once; compiles faster.
        `python`: no scan, for exporters that cannot convert one.
    """

    num_iterations: int = 4
    linearisation: str = "srgb"
    smooth_noise: bool = False
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
        if self.head not in HEADS:
            raise UserError(f"head is {self.head!r}; expected one of {HEADS}")
        if self.linearisation not in LINEARISATIONS:
            raise UserError(
                f"linearisation is {self.linearisation!r}; expected one of "
                f"{LINEARISATIONS}"
            )
        if self.loop not in LOOPS:
            raise UserError(f"loop is {self.loop!r}; expected one of {LOOPS}")
        if type(self.num_iterations) is not int or self.num_iterations < 1:
            raise UserError(
                f"num_iterations is {self.num_iterations!r}; expected an integer of at "
                "least 1"
            )
        # A configuration read from a file has lists.
        self.dilations = tuple(self.dilations)
        is_count = [type(d) is int and d > 0 for d in self.dilations]
        if not all(is_count) or len(is_count) != _DENSE_BLOCKS:
            raise UserError(
                f"dilations is {self.dilations!r}; expected {_DENSE_BLOCKS} integers "
                "of at least 1"
            )
        for name in ("peak", "initial_gain"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < math.inf:
                raise UserError(f"{name} is {value!r}; expected a positive number")
        check_dtype(self.dtype)
        super().__post_init__()

    def setup(self):
        if self.linearisation == "estimated":
            self.response = response.Response(dropout_rate=0.0)

    @property
    def receptive_radius(self) -> int:
        """Pixels to each side of an output pixel that can change it."""
        iteration = kernels.NUM_LAYERS * sum(self.dilations) + _GFF_RADIUS
        radius = _INPUT_RADIUS + self.num_iterations * iteration + _OUTPUT_RADIUS
        return radius + (noise.RADIUS if self.smooth_noise else 0)

    def context(self, encoded: Float[Array, "b h w 3"]) -> Context | None:
        """Returns what is known of the cameras; None where nothing is asked."""
        stretch = deviation = None
        if self.linearisation == "estimated":
            stretch = jax.lax.stop_gradient(self.response.context(encoded))
        if self.smooth_noise:
            deviation = noise.measure(response.linearise(encoded, stretch))
        if stretch is None and deviation is None:
            return None
        return Context(stretch, deviation)

    @nn.compact
    def __call__(
        self,
        encoded: Float[Array, "b h w 3"],
        context: Context | None = None,
    ) -> Float[Array, "stages b h w 3"]:
        """Returns one HDR estimate per iteration, the last is the answer."""
        photograph, encoded = encoded, self._as_srgb(encoded, context)
        kernel_init = nn.initializers.variance_scaling(
            self.initial_gain**2, "fan_in", "truncated_normal"
        )
        convolution = functools.partial(
            Convolution, kernel_init=kernel_init, dtype=self.dtype
        )
        zero_last = self.zero_last_layer
        if zero_last is None:
            zero_last = self.head == "residual"
        x = encoded * 2 - 1
        low_level = convolution(FEATURES, reflect=True, relu=True, name="feb1")(x)
        features = convolution(FEATURES, relu=True, name="feb2")(low_level)
        outputs = self._iterate(
            low_level,
            features,
            convolution=convolution,
            dilations=self.dilations,
            last_kernel_init=nn.initializers.zeros if zero_last else kernel_init,
            detach_hidden=self.detach_hidden,
        )
        # One by one: to whom only the last matters, the reconstruction blocks of the
        # others are dead code.
        stages = [self._to_radiance(output, encoded) for output in outputs]
        if self.keep_white:
            stages = [color.at_least_white(stage, photograph) for stage in stages]
        return jnp.stack(stages)

    def _as_srgb(
        self, encoded: Float[Array, "b h w 3"], context: Context | None
    ) -> Float[Array, "b h w 3"]:
        if context is None:
            context = self.context(encoded)
        if context is None:
            return encoded
        radiance = response.linearise(encoded, context.stretch)
        if context.noise is not None:
            radiance = noise.smooth(radiance, context.noise)
        return color.srgb_encode(radiance)

    def _iterate(
        self, low_level: Features, features: Features, **fields
    ) -> Float[Array, "stages b h w 3"]:
        body = _Iteration
        if self.remat:
            body = nn.remat(body, prevent_cse=False)
        is_first = jnp.arange(self.num_iterations) == 0
        hidden = (features,) * (1 + _DENSE_BLOCKS)
        # A scan of one step gains nothing, and its gradient is slow on the CPU.
        if self.loop == "python" or self.num_iterations == 1:
            step = body(**fields, name="iteration")
            outputs = []
            for first in is_first:
                hidden, output = step(hidden, first, low_level, features)
                outputs.append(output)
            return jnp.stack(outputs)
        scan = nn.scan(
            body,
            variable_broadcast="params",
            variable_axes={"intermediates": 0},
            split_rngs={"params": False},
            in_axes=(0, nn.broadcast, nn.broadcast),  # pyright: ignore[reportArgumentType]
            unroll=self.num_iterations if self.loop == "unrolled" else 1,
        )
        step = scan(**fields, name="iteration")
        return step(hidden, is_first, low_level, features)[1]

    def _to_radiance(
        self,
        output: Float[Array, "b h w 3"],
        encoded: Float[Array, "b h w 3"],
    ) -> Float[Array, "b h w 3"]:
        if self.head == "tanh":
            return self.peak * (jnp.tanh(output) + 1) / 2
        if self.head == "residual":
            linear = color.srgb_decode(encoded) / self.peak
            output = output + color.mu_law(linear)
        return color.peak_radiance(output, peak=self.peak)


def _layers() -> dict[str, tuple[str, ...]]:
    """Maps the official state dict's layer names to paths in our parameters."""
    layers: dict[str, tuple[str, ...]] = {n: (n,) for n in ("feb1", "feb2")}
    layers |= {name: ("iteration", name) for name in ("hrb1", "hrb2")}
    block = ("iteration", "feedback_block")
    layers["feedback_block.compress_in"] = (*block, "compress_in")
    layers["feedback_block.GFF_3x3"] = (*block, "gff")
    for n in range(1, _DENSE_BLOCKS + 1):
        official, ours = f"feedback_block.DRDB{n}", (*block, f"block_{n}")
        layers[f"{official}.compress"] = (*ours, "compress")
        layers[f"{official}.conv_1x1"] = (*ours, "fuse")
        for i in range(kernels.NUM_LAYERS):
            layers[f"{official}.dense_layers.{i}.conv"] = (*ours, f"dense_{i}")
    return layers


_TORCH_NAMES = {"kernel": "weight", "bias": "bias"}


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    """The leaf dictionary of the layer at `path`, made where it is missing."""
    for part in path:
        tree = tree.setdefault(part, {})
    return tree


def _expected_shapes() -> Mapping[str, Any]:
    model = FHDR(num_iterations=1)
    image = jnp.zeros((1, 4, 4, 3))
    return jax.eval_shape(model.init, jax.random.key(0), image)["params"]


def from_torch(state: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns parameters from the official PyTorch state dict.

    Args:
      state: arrays by their official names (`feb1.weight`, ...); kernels are OIHW.

    Raises:
      UserError: a name is missing or unexpected, or an array has the wrong shape.
    """
    expected = _expected_shapes()
    rest, params = dict(state), {}
    for official, path in _layers().items():
        for ours, wanted in _at(expected, path).items():
            name = f"{official}.{_TORCH_NAMES[ours]}"
            if name not in rest:
                raise UserError(
                    f"the state dict has no {name}; expected one of the official "
                    "FHDR network"
                )
            value = np.asarray(rest.pop(name))
            if (
                not np.issubdtype(value.dtype, np.number)
                or not np.isfinite(value).all()
            ):
                raise UserError(f"{name} holds values that are no finite numbers")
            if ours == "kernel" and value.ndim == 4:
                value = value.transpose(2, 3, 1, 0)
            if value.shape != wanted.shape:
                raise UserError(
                    f"{name} has shape {value.shape} as HWIO; expected {wanted.shape}"
                )
            _at(params, path)[ours] = np.ascontiguousarray(value, np.float32)
    if rest:
        raise UserError(f"the state dict has unexpected entries: {sorted(rest)[:5]}")
    return params


def to_torch(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns the official state dict of our parameters, as `from_torch` takes it.

    Raises:
      UserError: the parameters are not those of this network.
    """
    if jax.tree.map(np.shape, dict(params)) != jax.tree.map(
        np.shape, dict(_expected_shapes())
    ):
        raise UserError("the parameters are not those of the FHDR network")
    state = {}
    for official, path in _layers().items():
        for ours, value in _at(params, path).items():
            value = np.asarray(value)
            if ours == "kernel":
                value = value.transpose(3, 2, 0, 1)
            state[f"{official}.{_TORCH_NAMES[ours]}"] = np.ascontiguousarray(value)
    return state
