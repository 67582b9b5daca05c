r"""SParam-LSTM on the data and the loss of FHDR's release.

Run     python train.py --config=configs/sparam_lstm_release.py \
          --workdir=runs/sparam_lstm --config.data.manual_dir=FOLDER \
          --config.train.init_from=runs/response/best
The estimate of configs/response.py first, then both networks at once, from the
identity curve: docs/training.md says why. The card has a second run from the first.
"""

import ml_collections

from configs import fhdr_release, sparam_lstm


def get_config() -> ml_collections.ConfigDict:
    """Returns the configuration."""
    config = sparam_lstm.get_config("compact,hdr_images")
    release = fhdr_release.get_config()
    config.camera = release.camera
    config.loss = release.loss
    config.loss.stage_weights = (0.3, 0.7)
    config.eval = release.eval
    config.model.sparam.front.response = "estimated"
    config.model.conv_lstm.dtype = "bfloat16"
    config.optimizer.learning_rate = 5e-4
    config.train.num_steps = 1_200
    config.train.evaluate_every = 200
    config.train.checkpoint_every = 100
    return config
