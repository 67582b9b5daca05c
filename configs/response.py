r"""The estimate of the camera's response that FHDR's release starts with.

Run     python train.py --config=configs/response.py --workdir=runs/response \
          --config.data.manual_dir=FOLDER
Only pixels that are not clipped count.
"""

import ml_collections

from configs import fhdr_release


def get_config() -> ml_collections.ConfigDict:
    """Returns the configuration."""
    config = fhdr_release.get_config()
    config.model = {"name": "response"}
    config.data.patch_size = 256  # whole views: their statistics are what it reads
    config.data.batch_size = 64
    config.loss.image_mean = "arithmetic"
    config.loss.clipped_term_weight = 0.0  # the curve ends at white
    config.optimizer.learning_rate = 2e-3
    config.optimizer.ema_decay = 0.99
    config.train.num_steps = 1_000
    config.train.evaluate_every = 100
    config.eval.best_metric = "log2_rmse_unclipped"
    config.eval.num_images = 68
    return config
