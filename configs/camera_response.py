r"""The belief about the camera that the second generation of weights starts with.

Run     python train.py --config=configs/camera_response.py \
          --workdir=runs/camera_response --config.data.manual_dir=FOLDER
The folder has equirectangular panoramas. Training renders new views of them in each
step; validation is that of configs/fhdr_release.py.
"""

import ml_collections

from configs import response


def get_config() -> ml_collections.ConfigDict:
    """Returns the configuration."""
    config = response.get_config()
    config.model = {"name": "camera_response"}
    config.data.validation_name = config.data.name
    config.data.name = "hdr_images/images_1k"
    config.data.batch_size = 16
    config.data.unclipped_share = 0.1
    config.views.size = 224
    # Validation keeps the cameras of the first weights, so that scores compare.
    config.eval.camera.update(config.camera)
    config.camera.clipped_fraction = (0.0, 0.3)
    config.camera.curve_shares = (0.4, 0.3, 0.12, 0.18)
    config.camera.finish_share = 0.4
    config.camera.jpeg_quality = (60.0, 100.0)
    config.optimizer.learning_rate = 1e-3
    config.optimizer.ema_decay = 0.998
    config.train.num_steps = 2_400
    config.train.evaluate_every = 400
    return config
