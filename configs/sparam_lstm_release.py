r"""The shipped SParam-LSTM weights, with the compact backbone.

Run     python train.py --config=configs/sparam_lstm_release.py --workdir=runs/sparam \
          --config.data.manual_dir=FOLDER
Config argument: 1 (default), SParam-Net alone, then 2, both networks, from the best of
the first: `--config=configs/sparam_lstm_release.py:2
--config.train.init_from=runs/sparam/best`.
"""

import ml_collections

from configs import fhdr_release, sparam, sparam_lstm

_STEPS = {"1": 250, "2": 1_000}


def get_config(argument: str = "1") -> ml_collections.ConfigDict:
    """Returns the configuration of a stage.

    Raises:
      ValueError: there is no such stage.
    """
    if argument not in _STEPS:
        raise ValueError(f"the stage is {argument!r}; expected one of {list(_STEPS)}")
    stage = sparam if argument == "1" else sparam_lstm
    config = stage.get_config("compact,hdr_images")
    release = fhdr_release.get_config()
    config.camera = release.camera
    config.eval = release.eval
    config.train.num_steps = _STEPS[argument]
    config.train.evaluate_every = 125
    config.train.checkpoint_every = 100
    config.loss.domain = "stops"
    config.loss.structure_weight = 0.0
    # The geometric mean keeps a single curve at the identity.
    config.loss.error = "rms"
    if argument == "2":
        config.model.dtype = "bfloat16"
        config.loss.error = release.loss.error
        config.loss.clipped_weight = release.loss.clipped_weight
        config.loss.image_mean = release.loss.image_mean
    return config
