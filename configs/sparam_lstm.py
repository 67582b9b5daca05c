r"""SParam-Net and ConvLSTM-Net jointly (Oh et al. 2021): stage 2.

Run     python train.py --config=configs/sparam_lstm.py:hdr_images \
          --workdir=runs/sparam_lstm --config.train.init_from=runs/sparam
Presets as in configs/sparam.py, whose run `init_from` names. `compact` computes
ConvLSTM-Net on a part of each image, and curve and regions from all of it.
Config argument: `[PRESET,]DATA`, as in configs/fhdr.py; `paper` alone trains on the
published data, HDR-Real and LDR-HDR pair.
"""

import ml_collections

from configs import sparam


def get_config(argument: str = "synthetic") -> ml_collections.ConfigDict:
    """Returns the configuration for `[PRESET,]DATA`."""
    config = sparam.get_config(argument)
    is_paper = config.model.backbone == "vgg16"
    first_network = config.model.to_dict()
    del first_network["name"]
    config.model = {
        "name": "sparam_lstm",
        "sparam": first_network,
        "conv_lstm": {
            "peepholes": False,
            "shared_prelu": False,
            "forget_bias": 1.0,
            "head": "relu" if is_paper else "residual",
            "peak": config.loss.get_ref("peak"),
            "dtype": "float32",
            "remat": False,
        },
        "keep_white": not is_paper,
    }
    # Eq. 8: (beta, alpha) of SParam-Net and ConvLSTM-Net. The paper found alpha > beta
    # better; its values are lost.
    config.loss.stage_weights = (0.3, 0.7)
    if not is_paper:
        config.train.inner_crop = 64
        config.loss.structure_weight = 0.0
        config.optimizer.learning_rate = 1e-3
        config.optimizer.part_rates = (
            # The curve depends on the whole image, so gradients from a part are noisy.
            ("sparam", 0.1),
            # The other rates are scaled by the fan-in, which Adam ignores.
            ("conv_lstm/encoder", 0.25),
            # A step moves the 5,184 weights of each output at once.
            ("conv_lstm/decoder/deconvolution", 0.03),
        )
    return config
