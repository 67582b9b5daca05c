"""The perceptual error: differences between features of VGG19."""

import dataclasses
import os

import jax.numpy as jnp

from jaxhdr.errors import UserError
from jaxhdr.models import vgg
from jaxhdr.storage import weight_files
from jaxhdr.training.image_errors import Domain, Images, PerStage, Stages

# Weights of relu1_1 ... relu5_1 in FHDR's official code; its paper gives none.
_FEATURE_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


def perceptual_error(
    stages: Stages, hdr: Images, *, domain: Domain, vgg_params: vgg.Params
) -> PerStage:
    """Returns the weighted L1 between VGG19 features of mu-law codes, stage by stage.

    Layers, weights and the input (codes in [0, 1], without the mean and the standard
    deviation of ImageNet) are those of FHDR's official code.

    Args:
      stages: the estimates, linear radiance.
      hdr: the truth, linear radiance in the same unit.
      domain: its `peak` and `mu` define the codes, whatever its kind is.
      vgg_params: parameters of VGG19.

    Raises:
      UserError: the images are smaller than 16 x 16 pixels.
    """
    code = dataclasses.replace(domain, kind="mu_law")
    truth = vgg.vgg19_features(vgg_params, code(hdr))
    codes = code(stages)
    # All stages and images go through the network in one pass, and the features of the
    # truth are computed once.
    merged = vgg.vgg19_features(vgg_params, codes.reshape(-1, *codes.shape[2:]))
    total = jnp.zeros(stages.shape[0], codes.dtype)
    for weight, of_truth, of_stages in zip(
        _FEATURE_WEIGHTS, truth, merged, strict=True
    ):
        of_stages = of_stages.reshape(-1, *of_truth.shape)
        error = jnp.abs(of_stages - of_truth[None])
        total += weight * error.mean(axis=(1, 2, 3, 4))
    return total


def load_vgg19(path: str | os.PathLike[str] | None, weight: float) -> vgg.Params | None:
    """Returns the VGG19 parameters for the perceptual loss, or None for weight 0.

    Args:
      path: file of a state dict of torchvision's vgg19, as .pth or safetensors.
      weight: weight of the perceptual loss.

    Raises:
      UserError: the weight is negative, or the file is not given, cannot be read or
        holds another network.
    """
    check_weight(weight)
    if weight == 0:
        return None
    if path is None:
        raise missing_vgg19(weight)
    return vgg.vgg19_params(weight_files.read(path))


def check_weight(weight: float) -> None:
    """Checks the weight of the perceptual loss.

    Raises:
      UserError: it is negative.
    """
    if weight < 0:
        raise UserError(f"the perceptual weight is {weight}, expected 0 or more")


def missing_vgg19(weight: float) -> UserError:
    """Returns the error to raise if the parameters of VGG19 are wanted but missing."""
    return UserError(
        f"a perceptual loss of weight {weight} needs the weights of VGG19: name a "
        "file of them, torchvision's vgg19-dcbb9e9d.pth from the PyTorch model zoo "
        "or the same arrays as safetensors, or set the weight to 0"
    )
