r"""The shipped FHDR weights, by the choices that docs/training.md measured.

Run     python train.py --config=configs/fhdr_release.py --workdir=runs/fhdr_t1 \
          --config.data.manual_dir=FOLDER
Config argument: T, the number of iterations; 1 by default. Longer recurrences start
from shorter ones: `fhdr_release.py:2` with --config.train.init_from=runs/fhdr_t1.
"""

import ml_collections

from configs import fhdr


def get_config(argument: str = "1") -> ml_collections.ConfigDict:
    """Returns the configuration for T iterations."""
    config = fhdr.get_config("hdr_images")
    config.model.num_iterations = int(argument)
    config.model.dtype = "bfloat16"
    config.camera.clipped_fraction = (0.0, 0.2)
    config.camera.jpeg_quality = (70.0, 100.0)
    config.camera.color_cast = 0.25
    config.loss.domain = "stops"
    config.loss.error = "rms"
    config.loss.clipped_weight = 5.0
    config.optimizer.learning_rate = 4e-4
    config.optimizer.ema_decay = 0.99
    return config
