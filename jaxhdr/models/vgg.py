"""VGG networks: VGG19's features for the perceptual loss, VGG16's as a backbone.

Simonyan and Zisserman (2015), "Very Deep Convolutional Networks for Large-Scale Image
Recognition", table 1: blocks of 3x3 convolutions with zero padding and ReLU, between
them 2x2 maximum pooling. Configuration D (VGG16) differs from E (VGG19) in the depths
alone. Parameters are `{"conv1_1": {"kernel": HWIO, "bias": O}, ...}`.
"""

from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from jaxhdr.errors import UserError
from jaxhdr.models.layers import Convolution, max_pool

Params = Mapping[str, Mapping[str, Float[Array | np.ndarray, "..."]]]
Features = Float[Array, "b _ _ _"]

_WIDTHS = (64, 128, 256, 512, 512)  # table 1, block by block
# Configuration E has depths (2, 2, 4, 4, 4); what follows relu5_1 is not used.
_VGG19_DEPTHS = (2, 2, 4, 4, 1)
_VGG16_DEPTHS = (2, 2, 3, 3, 3)  # configuration D
_SMALLEST = 2 ** (len(_VGG19_DEPTHS) - 1)  # one pixel is left after the last pooling


class VGG16(nn.Module):
    """The 13 convolutions of VGG16, without the pooling after the last of them."""

    @nn.compact
    def __call__(self, x: Features) -> Features:
        for block, (depth, width) in enumerate(
            zip(_VGG16_DEPTHS, _WIDTHS, strict=True), 1
        ):
            if block > 1:
                x = max_pool(x)
            for layer in range(1, depth + 1):
                x = Convolution(
                    width,
                    relu=True,
                    kernel_init=nn.initializers.he_normal(),
                    name=f"conv{block}_{layer}",
                )(x)
        return x


def vgg19_features(
    params: Params, image: Float[Array, "b h w 3"]
) -> tuple[Features, Features, Features, Features, Features]:
    """Returns relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 of VGG19.

    Each has half the height and width of the one before it, rounded down.

    Raises:
      UserError: the image is smaller than 16 x 16 pixels.
    """
    if min(image.shape[1:3]) < _SMALLEST:
        raise UserError(
            f"images are {image.shape[1]} x {image.shape[2]} pixels; VGG19 features "
            f"need at least {_SMALLEST} x {_SMALLEST}: use larger patches, or no "
            "perceptual loss"
        )
    features: list[Features] = []
    x = image
    for block, depth in enumerate(_VGG19_DEPTHS, 1):
        if block > 1:
            x = max_pool(x)
        for layer in range(1, depth + 1):
            x = nn.relu(_convolution(params[f"conv{block}_{layer}"], x))
            if layer == 1:
                features.append(x)
    return features[0], features[1], features[2], features[3], features[4]


def vgg19_params(state: Mapping[str, np.ndarray]) -> dict[str, dict[str, jax.Array]]:
    """Returns the parameters up to relu5_1 from a state dict of torchvision's vgg19.

    Names are "features.0.weight" (OIHW), "features.0.bias", ...; others are left out.

    Raises:
      UserError: an array is missing or has another shape.
    """
    return _from_torchvision(state, _VGG19_DEPTHS, network="vgg19")


def vgg16_params(state: Mapping[str, np.ndarray]) -> dict[str, dict[str, jax.Array]]:
    """Returns parameters of `VGG16` from a state dict of torchvision's vgg16.

    Without conv1_1, whose input here is not a photograph alone.

    Raises:
      UserError: an array is missing or has another shape.
    """
    params = _from_torchvision(state, _VGG16_DEPTHS, network="vgg16")
    del params["conv1_1"]
    return params


def _from_torchvision(
    state: Mapping[str, np.ndarray], depths: tuple[int, ...], *, network: str
) -> dict[str, dict[str, jax.Array]]:
    params = {}
    inputs = 3
    for name, source, outputs in _torchvision_layers(depths):
        weight = _checked(state, f"{source}.weight", (outputs, inputs, 3, 3), network)
        bias = _checked(state, f"{source}.bias", (outputs,), network)
        params[name] = {
            "kernel": jnp.asarray(weight.transpose(2, 3, 1, 0), jnp.float32),
            "bias": jnp.asarray(bias, jnp.float32),
        }
        inputs = outputs
    return params


def _convolution(layer: Mapping[str, Array | np.ndarray], x: Features) -> Features:
    y = jax.lax.conv_general_dilated(
        x,
        jnp.asarray(layer["kernel"], x.dtype),
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y + jnp.asarray(layer["bias"], x.dtype)[None, None, None]


def _torchvision_layers(depths: tuple[int, ...]) -> Iterator[tuple[str, str, int]]:
    """Yields name, name in torchvision, and width of each convolution.

    torchvision numbers convolutions, ReLUs and poolings in one sequence.
    """
    index = 0
    for block, (depth, width) in enumerate(zip(depths, _WIDTHS, strict=True), 1):
        for layer in range(1, depth + 1):
            yield f"conv{block}_{layer}", f"features.{index}", width
            index += 2
        index += 1


def _checked(
    state: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...], network: str
) -> np.ndarray:
    if name not in state:
        raise UserError(
            f"no {name!r} among the weights (they have {sorted(state)[:4]}, ...): "
            f"expected a state dict of torchvision's {network}"
        )
    if state[name].shape != shape:
        raise UserError(
            f"{name!r} has shape {state[name].shape}, expected {shape}: these are not "
            f"the weights of torchvision's {network}"
        )
    return state[name]
