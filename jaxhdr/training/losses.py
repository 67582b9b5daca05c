"""The training loss: errors of all stages, and their weighted sum.

A `Loss` is an object, as the camera is: `create_loss` makes it from the section `loss`
of a configuration, and calling it returns the number to minimise and its parts by name.
"""

import dataclasses
import itertools
from typing import Any, Final

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxhdr.errors import UserError
from jaxhdr.metrics import ssim
from jaxhdr.models import vgg
from jaxhdr.training import perceptual
from jaxhdr.training.image_errors import (
    L1,
    RMS,
    Domain,
    ImageError,
    Images,
    PerStage,
    SplitRMS,
    Stages,
)

__all__ = [
    "ERRORS",
    "L1",
    "RMS",
    "Domain",
    "Loss",
    "SplitRMS",
    "create_loss",
    "structure",
]

ERRORS: Final = {each.name: each for each in (L1, RMS, SplitRMS)}
"""The errors by the name that `config.loss.error` gives them."""

# Fields of `config.loss` that describe the scale of the radiance and a file, not the
# loss.
_ELSEWHERE = {"scale", "vgg19"}


@dataclasses.dataclass(frozen=True)
class Loss:
    """The weighted sum of the errors of all stages.

    With w = `structure_weight`, the loss of a stage is (1 - w) times `error` plus w
    times 1 - SSIM, both in `domain`, plus `perceptual_weight` times the perceptual
    error. Oh
    et al. (2021) Eq. 7, after Zhao et al. (2017), has the weight 0.83 for one of the
    first two and no perceptual loss. Which one is not legible, so w is 0.83 or 0.17.

    Attributes:
      domain: the values in which radiance is compared.
      error: the error of a stage: `L1` (both papers), `RMS` or `SplitRMS`.
      structure_weight: w, from 0 to 1.
      perceptual_weight: weight of the perceptual loss, 0 or more; above 0 the loss
        needs the parameters of VGG19.
      stage_weights: one weight per stage: (beta, alpha) of Oh et al. Eq. 8 for the
        pseudo-HDR and the HDR. Empty: each is one over the number of stages (Khan et
        al. 2019, section II-D).

    Raises:
      UserError: a weight is out of range.
    """

    domain: Domain = dataclasses.field(default_factory=Domain)
    error: ImageError = dataclasses.field(default_factory=L1)
    structure_weight: float = 0.0
    perceptual_weight: float = 0.0
    stage_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _check_share(self.structure_weight)
        perceptual.check_weight(self.perceptual_weight)

    def __call__(
        self,
        stages: Stages,
        hdr: Images,
        encoded: Images,
        *,
        vgg_params: vgg.Params | None = None,
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """Returns the number to minimise and its parts by name.

        The parts are "loss", the error of each stage under the name of the error, as
        in "l1_stage_1" or "split_rms_stage_1", and, where used, "ssim_loss_stage_1",
        ... and "perceptual_stage_1", ...

        Args:
          stages: the estimates, linear radiance.
          hdr: the truth, linear radiance in the same unit.
          encoded: the photograph, display-encoded in [0, 1].
          vgg_params: parameters of VGG19, from `perceptual.load_vgg19`.

        Raises:
          UserError: the images are too small for SSIM, the stage weights do not fit
            the stages, or the perceptual loss is wanted without `vgg_params`.
        """
        per_stage = self.error(stages, hdr, encoded, self.domain)
        parts = {self.error.name: per_stage}
        if self.structure_weight:
            parts["ssim_loss"] = structure(stages, hdr, domain=self.domain)
            per_stage = (
                self.structure_weight * parts["ssim_loss"]
                + (1 - self.structure_weight) * per_stage
            )
        if self.perceptual_weight:
            if vgg_params is None:
                raise perceptual.missing_vgg19(self.perceptual_weight)
            parts["perceptual"] = perceptual.perceptual_error(
                stages, hdr, domain=self.domain, vgg_params=vgg_params
            )
            per_stage = per_stage + self.perceptual_weight * parts["perceptual"]
        loss = per_stage @ _stage_weights(self.stage_weights, per_stage)
        return loss, {"loss": loss} | _by_stage(parts)


def create_loss(**fields: Any) -> Loss:
    """Returns the loss that the section `loss` of a configuration describes.

    `domain` is the kind and `error` the name of these two objects; all other fields
    are named as the attributes of `Domain`, of the errors and of `Loss`. Lists are
    taken as tuples. `scale` and `vgg19` are accepted and ignored: they stand in the
    same section but are not attributes of the loss.

    Raises:
      UserError: a field is not known or has a wrong value, or a field of another error
        than the chosen one is not at its default.
    """
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in fields.items()
        if name not in _ELSEWHERE
    }
    _check_names(given)
    kind = given.pop("domain", Domain().kind)
    error = given.pop("error", L1.name)
    if error not in ERRORS:
        raise UserError(f"error is {error!r}; expected 'l1', 'rms' or 'split_rms'")
    _check_used(given, error)
    return Loss(
        domain=Domain(kind, **_taken(given, Domain)),
        error=ERRORS[error](**_taken(given, ERRORS[error])),
        **_taken(given, Loss),
    )


def structure(stages: Stages, hdr: Images, *, domain: Domain) -> PerStage:
    """Returns 1 - SSIM in `domain`, stage by stage; SSIM is that of the metrics.

    The data range of SSIM is 1: that of the codes in "mu_law"; in "linear" the white of
    scale `ldr_white`, or twice the mean of scale `mean_half`. Every pixel counts the
    same.

    Raises:
      UserError: the images are smaller than the window of SSIM.
    """
    *_, height, width, _ = hdr.shape
    if min(height, width) < ssim.WINDOW:
        raise UserError(
            f"SSIM has a window of {ssim.WINDOW} x {ssim.WINDOW} pixels, the images "
            f"have {height} x {width}: train on larger patches (and inner crops), or "
            "set the structure weight to 0"
        )
    values = domain(stages)
    truth = jnp.broadcast_to(domain(hdr)[None], values.shape)
    return 1 - ssim.structural_similarity(values, truth, peak=1.0).mean(axis=1)


def _attributes(owner: type) -> dict[str, Any]:
    """Returns the attributes of a dataclass with their defaults."""
    return {each.name: each.default for each in dataclasses.fields(owner)}


def _taken(given: dict[str, Any], owner: type) -> dict[str, Any]:
    """Returns the given fields that are attributes of `owner`."""
    return {name: given[name] for name in _attributes(owner) if name in given}


def _check_names(given: dict[str, Any]) -> None:
    owners = (Domain, Loss, *ERRORS.values())
    known = {"domain"}.union(*map(_attributes, owners)) - {"kind"}
    if unknown := sorted(given.keys() - known):
        raise UserError(f"loss has no option {unknown}; available: {sorted(known)}")


def _check_used(given: dict[str, Any], error: str) -> None:
    """Checks that what the chosen error does not use is at its default.

    Raises:
      UserError: it is not.
    """
    for name, default in _defaults_of_others(error).items():
        if given.get(name, default) != default:
            users = [repr(e) for e in ERRORS if name in _attributes(ERRORS[e])]
            raise UserError(
                f"{error} has no {name}, which is {given[name]}: set it to {default} "
                f"or take the error {' or '.join(users)}"
            )


def _defaults_of_others(error: str) -> dict[str, Any]:
    """Returns the options that only other errors have, with their defaults."""
    own = _attributes(ERRORS[error])
    options = itertools.chain(*(_attributes(e).items() for e in ERRORS.values()))
    return {name: default for name, default in options if name not in own}


def _check_share(structure_weight: float) -> None:
    if not 0 <= structure_weight <= 1:
        raise UserError(
            f"the structure weight is {structure_weight}, expected 0 (the error alone) "
            "to 1 (SSIM alone)"
        )


def _stage_weights(given: tuple[float, ...], per_stage: PerStage) -> PerStage:
    num_stages = per_stage.shape[0]
    weights = given or [1 / num_stages] * num_stages
    if len(weights) != num_stages:
        raise UserError(
            f"{len(weights)} stage weights for a model of {num_stages} stages: "
            "give one for each stage"
        )
    return jnp.asarray(weights, per_stage.dtype)


def _by_stage(parts: dict[str, PerStage]) -> dict[str, Float[Array, ""]]:
    return {
        f"{name}_stage_{i}": value
        for name, values in parts.items()
        for i, value in enumerate(values, 1)
    }
