"""SParam-Net alone (Oh et al. 2021): stage 1, the curve.

Run     python train.py --config=configs/sparam.py:hdr_images --workdir=runs/sparam
Presets
  paper    as published: VGG16 at 256 x 256, Eq. 7 on linear radiance of mean 0.5,
           Adam 7e-5, batch 4; --config.train.vgg16=FILE starts from ImageNet
  compact  a network of half a million parameters, trained in scale ldr_white on mu-law
           codes: for a CPU
Config argument: `[PRESET,]DATA`, as in configs/fhdr.py; `paper` alone trains on the
published data, HDR-Real and LDR-HDR pair. Stage 2 is configs/sparam_lstm.py.
"""

import ml_collections

from configs import default

PRESETS = ("paper", "compact")

# Section 3.2: 50 epochs of 10,236 images (section 3.1) in batches of 4.
_PAPER_STEPS = 50 * 10_236 // 4


def get_config(argument: str = "synthetic") -> ml_collections.ConfigDict:
    """Returns the configuration for `[PRESET,]DATA`."""
    preset, data = default.parse_argument(
        argument, PRESETS, published={"paper": "oh2021"}
    )
    config = default.get_config()
    config.data.update(data)
    config.data.patch_size = 256
    config.model = {
        "name": "sparam",
        "num_regions": 5,
        "backbone": "vgg16",
        "positive": "exponential",
        "dropout_rate": 0.5,
        "curve_of": "encoded",
        "front": {"response": "srgb", "smooth_noise": False},
    }
    if preset == "paper":
        _as_published(config)
    else:
        _compact(config)
    return config


def _as_published(config: ml_collections.ConfigDict) -> None:
    """Sections 2.1, 3.1 and 3.2 of the paper."""
    config.data.batch_size = 4
    config.data.bright_share = 0.0
    config.loss.scale = "mean_half"
    config.loss.domain = "linear"
    config.loss.structure_weight = 0.83  # of Eq. 7; 0.17 for the other reading of it
    config.optimizer.learning_rate = 7e-5
    config.optimizer.constant_share = 1.0
    config.optimizer.clip_norm = 0.0
    config.optimizer.ema_decay = 0.0
    config.train.num_steps = _PAPER_STEPS


def _compact(config: ml_collections.ConfigDict) -> None:
    config.model.backbone = "compact"
    config.model.dropout_rate = 0.1
    config.model.curve_of = "radiance"  # training starts at the linearised photograph
    config.data.batch_size = 8
    config.loss.clipped_pixel_weight = 5.0
    config.loss.structure_weight = 0.1
    config.optimizer.learning_rate = 1e-3
    config.optimizer.warmup_steps = 50
    config.optimizer.decay = "cosine"
    config.optimizer.constant_share = 0.0
    config.optimizer.ema_decay = 0.99
    config.train.num_steps = 1_000
