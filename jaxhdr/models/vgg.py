"""The VGG networks: VGG19 for the perceptual loss, VGG16 as a backbone.

Simonyan and Zisserman (2015), "Very Deep Convolutional Networks for Large-Scale Image
Recognition", table 1: blocks of 3x3 convolutions with zero padding and ReLU, between
them 2x2 maximum pooling. Configuration D (VGG16) differs from E (VGG19) only in the
depths of the blocks. Parameters are `{"conv1_1": {"kernel": HWIO, "bias": O}, ...}`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from jaxhdr.errors import UserError
from jaxhdr.models.layers import Convolution, max_pool

Params = Mapping[str, Mapping[str, Float[Array | np.ndarray, "..."]]]
Features = Float[Array, "b _ _ _"]

VGG16_DEPTHS = (2, 2, 3, 3, 3)  # configuration D
# Configuration E has depths (2, 2, 4, 4, 4); what follows relu5_1 is not used.
VGG19_DEPTHS = (2, 2, 4, 4, 1)
_WIDTHS = (64, 128, 256, 512, 512)  # table 1, block by block
_SMALLEST = 2 ** (len(_WIDTHS) - 1)  # one pixel is left after the last pooling


class VGG(nn.Module):
    """The convolutions of a VGG network, without the pooling after the last of them.

    Attributes:
      depths: number of convolutions in each block.
      widths: number of channels in each block.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...] = _WIDTHS

    @nn.compact
    def __call__(self, x: Features) -> dict[str, Features]:
        """Returns the output of each ReLU by its name, "relu1_1", "relu1_2", ..."""
        features = {}
        for block, (depth, width) in enumerate(
            zip(self.depths, self.widths, strict=True), 1
        ):
            if block > 1:
                x = max_pool(x)
            for layer in range(1, depth + 1):
                convolution = Convolution(
                    width,
                    relu=True,
                    kernel_init=nn.initializers.he_normal(),
                    name=f"conv{block}_{layer}",
                )
                x = features[f"relu{block}_{layer}"] = convolution(x)
        return features


def vgg19_features(
    params: Params, image: Float[Array, "b h w 3"]
) -> tuple[Features, Features, Features, Features, Features]:
    """Returns relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 of VGG19.

    Each has half the height and width of the one before it, rounded down. The number of
    channels in each block is that of the parameters.

    Raises:
      UserError: the image is smaller than 16 x 16 pixels.
    """
    if min(image.shape[1:3]) < _SMALLEST:
        raise UserError(
            f"images are {image.shape[1]} x {image.shape[2]} pixels; VGG19 features "
            f"need at least {_SMALLEST} x {_SMALLEST}: use larger patches, or no "
            "perceptual loss"
        )
    blocks = range(1, len(VGG19_DEPTHS) + 1)
    widths = tuple(params[f"conv{block}_1"]["kernel"].shape[-1] for block in blocks)
    network = VGG(VGG19_DEPTHS, widths)
    features: Any = network.apply({"params": params}, image)
    return tuple(features[f"relu{block}_1"] for block in blocks)


def vgg19_params(state: Mapping[str, np.ndarray]) -> dict[str, dict[str, jax.Array]]:
    """Returns the parameters up to relu5_1 from a state dict of torchvision's vgg19.

    Names are "features.0.weight" (OIHW), "features.0.bias", ...; arrays of other names
    are left out.

    Raises:
      UserError: an array is missing or has another shape.
    """
    return _from_torchvision(state, VGG19_DEPTHS, network="vgg19")


def vgg16_params(state: Mapping[str, np.ndarray]) -> dict[str, dict[str, jax.Array]]:
    """Returns the parameters of VGG16 from a state dict of torchvision's vgg16.

    conv1_1 is left out: its input here is more than a photograph.

    Raises:
      UserError: an array is missing or has another shape.
    """
    params = _from_torchvision(state, VGG16_DEPTHS, network="vgg16")
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
