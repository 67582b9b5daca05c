"""FHDR (Khan et al. 2019), by preset and data.

Run     python train.py --config=configs/fhdr.py:synthetic --workdir=runs/fhdr
Presets
  paper     betas 0.5 and 0.999, lambda 0.1, gradient through time, tanh head
  official  betas 0.9 and 0.999, weight 10, hidden states detached, tanh head
  default   mu-law residual head and clipped pixels weighted; needs no VGG19 file
Config argument: `[PRESET,]DATA`, where DATA is `synthetic`, `synthetic_small`,
`hdr_images` (your folder of .hdr or .exr panoramas: --config.data.manual_dir=...), a
published set that you downloaded, or several with + between; see configs/default.py.
"""

import ml_collections

from configs import default

_PRESETS = ("default", "paper", "official")


def get_config(argument: str = "synthetic") -> ml_collections.ConfigDict:
    """Returns the configuration for `[PRESET,]DATA`."""
    preset, data = default.parse_argument(argument, _PRESETS)
    config = default.get_config()
    config.data.update(data)
    config.model = {
        "name": "fhdr",
        "front": {"response": "srgb", "smooth_noise": False},
        "num_iterations": 4,
        "head": "residual",
        "peak": config.loss.get_ref("peak"),
        "keep_white": True,
        "dilations": (2, 2, 2),
        "detach_hidden": False,
        "initial_gain": 0.7,
        "dtype": "float32",
        "remat": False,
    }
    config.loss.clipped_pixel_weight = 5.0
    config.optimizer.warmup_steps = 100
    config.optimizer.decay = "cosine"
    config.optimizer.constant_share = 0.0
    config.optimizer.ema_decay = 0.995
    if preset != "default":
        _as_published(config, official=preset == "official")
    return config


def _as_published(config: ml_collections.ConfigDict, *, official: bool) -> None:
    """Section II-D and II-E of the paper; `official` follows the released code."""
    config.model.head = "tanh"
    config.model.keep_white = False
    config.model.detach_hidden = official
    config.loss.clipped_pixel_weight = 1.0
    config.loss.perceptual_weight = 10.0 if official else 0.1
    config.optimizer.beta1 = 0.9 if official else 0.5
    config.optimizer.warmup_steps = 0
    config.optimizer.decay = "linear"
    config.optimizer.constant_share = 0.5
    config.optimizer.clip_norm = 0.0
    config.optimizer.ema_decay = 0.0
    config.data.batch_size = 6 if not official else 2
    config.data.patch_size = 256
