r"""The shipped FHDR weights, by the choices that docs/training.md measured.

Run     python train.py --config=configs/fhdr_release.py --workdir=runs/fhdr_1 \
          --config.data.manual_dir=FOLDER
Config argument: T, the number of iterations: 1 (default), then 2 and 4, each from the
best parameters of the one before: `--config=configs/fhdr_release.py:2
--config.train.init_from=runs/fhdr_1/best`. Then "estimated": T = 4 behind the estimate
of configs/response.py, `--config.train.init_from=runs/fhdr_4/best+runs/response/best`.
Last "smoothed": noise is smoothed first, and a fifth of the photographs clip nothing.
"""

import ml_collections

from configs import fhdr

# By stage: T, steps, patches a step, their side, learning rate. An iteration sees 25
# pixels more to each side, so patches grow.
_SCHEDULE = {
    "1": (1, 2_800, 16, 64, 4e-4),
    "2": (2, 1_200, 8, 96, 3e-4),
    "4": (4, 700, 6, 128, 2e-4),
    "estimated": (4, 1_200, 6, 128, 2e-4),
    "smoothed": (4, 1_500, 4, 128, 2e-4),
}


def get_config(argument: str = "1") -> ml_collections.ConfigDict:
    """Returns the configuration of a stage.

    Raises:
      ValueError: there is no such stage.
    """
    if argument not in _SCHEDULE:
        raise ValueError(f"stage is {argument!r}; expected one of {list(_SCHEDULE)}")
    config = fhdr.get_config("hdr_images")
    config.model.dtype = "bfloat16"
    (
        config.model.num_iterations,
        config.train.num_steps,
        config.data.batch_size,
        config.data.patch_size,
        config.optimizer.learning_rate,
    ) = _SCHEDULE[argument]
    config.camera.clipped_fraction = (0.0, 0.2)
    config.camera.jpeg_quality = (70.0, 100.0)
    config.camera.color_cast = 0.25
    config.loss.domain = "stops"
    config.loss.error = "split_rms"
    config.loss.clipped_pixel_weight = 1.0
    config.loss.clipped_term_weight = 0.5
    config.loss.image_mean = "geometric"
    config.optimizer.ema_decay = 0.995
    if argument in ("estimated", "smoothed"):
        config.model.front.response = "estimated"
        # The estimate reads the whole view, the layers a part of it.
        config.train.inner_crop = config.data.patch_size
        config.data.patch_size = 256
    if argument == "smoothed":
        config.model.front.smooth_noise = True
        config.data.unclipped_share = 0.2
        config.loss.scale_invariance = 0.9
    config.train.evaluate_every = 250
    config.train.checkpoint_every = 100
    config.eval.metrics = (
        *("psnr_mu", "pu21_psnr"),
        *("log2_rmse", "log2_rmse_clipped", "log2_rmse_unclipped"),
    )
    config.eval.num_images = 34  # two of each panorama that we validate on
    return config
