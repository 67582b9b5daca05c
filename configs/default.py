"""Every field of a training run, with meaning and unit.

Only numbers, strings, booleans and tuples; nothing is read from the machine. The
other files of this folder change a few fields. Any field can be set on the command
line: `--config.train.num_steps=100`.
"""

from collections.abc import Mapping, Sequence

import ml_collections

# Names of data sets in config arguments: where training data come from, and where
# validation data do if from elsewhere. Sets with `test` alone are for eval.py.
_TEST = {"validation_split": "test"}
DATA: Mapping[str, Mapping[str, str]] = {
    "synthetic": {"name": "synthetic_hdr"},
    "synthetic_small": {"name": "synthetic_hdr/small"},
    "hdr_images": {"name": "hdr_images/panorama_views"},
    "curated": {"name": "curated", **_TEST},
    "city_scene": {"name": "city_scene"},
    "fairchild": {"name": "fairchild"},
    "hdr_eye": {"name": "hdr_eye", **_TEST},
    "hdr_real": {"name": "hdr_real"},
    "ldr_hdr_pair": {"name": "ldr_hdr_pair"},
    "ntire2021": {"name": "ntire2021"},
    "si_hdr": {"name": "si_hdr", **_TEST},
    "vds": {"name": "vds"},
    # Oh et al. (2022), section 3.1: 10,236 pairs to train on and 946 to test on.
    "oh2021": {
        "name": "hdr_real+ldr_hdr_pair",
        "train_split": "train+validation",
        "validation_name": "ldr_hdr_pair+hdr_eye",
        "validation_split": "test",
    },
}


def parse_argument(
    argument: str,
    presets: Sequence[str],
    *,
    published: Mapping[str, str] | None = None,
) -> tuple[str, dict[str, str]]:
    """Returns preset and data fields of `[PRESET,]DATA`, DATA several with + between.

    The first preset is the default; a preset in `published` may stand alone, for the
    data named there.

    Raises:
      ValueError: there is no such preset or data set, or sets do not go together.
    """
    if argument in (published or {}):
        argument = f"{argument},{published[argument]}"
    *given, data = argument.split(",")
    preset = ",".join(given) or presets[0]
    names = data.split("+")
    if preset not in presets or not set(names) <= DATA.keys():
        raise ValueError(
            f"unknown config argument {argument!r}; expected [PRESET,]DATA with PRESET "
            f"in {tuple(presets)} and DATA in {tuple(DATA)}, several with + between"
        )
    if len(names) == 1:
        return preset, dict(DATA[data])
    if any(DATA[name].keys() != {"name"} for name in names):
        raise ValueError(
            f"config argument {argument!r} mixes a set that has no split `validation`; "
            "set data.name and data.validation_name yourself"
        )
    return preset, {"name": "+".join(DATA[name]["name"] for name in names)}


def get_config() -> ml_collections.ConfigDict:
    """Returns the default configuration."""
    config = ml_collections.ConfigDict()
    config.seed = 0  # of parameters, data order and cameras

    # Attributes of the model; see its class.
    config.model = ml_collections.ConfigDict({"name": "fhdr"}, type_safe=False)

    config.data = ml_collections.ConfigDict()
    # TFDS builder, or builder/config; a mixture of several with + between
    config.data.name = "synthetic_hdr"
    config.data.weights = ()  # of a mixture's sets; (): their numbers of records
    config.data.validation_name = ""  # "": the same as name
    config.data.data_dir = ""  # where prepared data are; "": TFDS' own default
    # Your files, for builders that read a folder; of a mixture, the folder that has a
    # folder of each builder's name.
    config.data.manual_dir = ""
    config.data.train_split = "train"
    config.data.validation_split = "validation"
    config.data.batch_size = 16  # patches in a step, over all devices
    config.data.patch_size = 64  # pixels
    config.data.bright_share = 0.5  # share of patches cut around a bright pixel
    # Share of training photographs in which no pixel clips, whatever `camera` says;
    # validation photographs follow `camera` alone.
    config.data.unclipped_share = 0.0

    # Attributes of `drawn_views.ViewRanges`; see there. Above size 0, training renders
    # views of the panoramas of `data.name`, new ones in each step; `data.patch_size`
    # and `data.bright_share` then do not count.
    config.views = ml_collections.ConfigDict(
        {
            "size": 0,
            "field_of_view": (25.0, 120.0),
            "pitch": (-35.0, 45.0),
            "roll": 5.0,
            "above_horizon_only": True,
        }
    )

    # Attributes of `augmentation.Augmentation`; see there.
    config.augmentation = ml_collections.ConfigDict(
        {
            "flip_left_right": 0.5,  # probability
            "flip_up_down": 0.0,  # probability
            "quarter_turns": False,
        }
    )

    # Attributes of `camera.Camera`; see there.
    config.camera = ml_collections.ConfigDict(
        {
            "clipped_fraction": (0.0, 0.15),
            "curve_shares": (0.35, 0.45, 0.2),
            "sigmoid_exponent": (0.9, 0.1),
            "sigmoid_offset": (0.6, 0.1),
            "gamma": (1.8, 2.4),
            "tone_contrast": (-0.2, 0.8),
            "tone_power": (-0.5, 0.5),
            "color_cast": 0.0,
            "read_noise": 0.002,
            "shot_noise": 0.008,
            "finish_share": 0.0,
            "sharpening": (-0.5, 1.0),
            "jpeg_share": 0.5,
            "jpeg_quality": (60.0, 98.0),
        }
    )
    config.camera_curves = ""  # file of measured responses; "": the sigmoid family

    # Attributes of `losses.Loss` and of its parts; see there.
    config.loss = ml_collections.ConfigDict()
    config.loss.domain = "mu_law"  # the values compared; or "stops", "linear" radiance
    config.loss.peak = 64.0  # radiance of mu-law code 1, in units of ldr_white
    config.loss.mu = 5000.0  # parameter of the mu-law
    config.loss.error = "l1"  # or "rms", "split_rms": roots of an image's mean square
    config.loss.image_mean = "arithmetic"  # over the images of a batch; or "geometric"
    # For "l1" and "rms": weight of a clipped pixel; unclipped ones have 1.
    config.loss.clipped_pixel_weight = 1.0
    # For "split_rms": factor of the term of the clipped pixels.
    config.loss.clipped_term_weight = 1.0
    # For "rms" and "split_rms": share of an image's exposure error that is forgiven.
    config.loss.scale_invariance = 0.0
    config.loss.structure_weight = 0.0  # of 1 - SSIM; the error has the rest of 1
    config.loss.perceptual_weight = 0.0  # lambda; above 0 needs vgg19
    config.loss.vgg19 = ""  # file of VGG19 weights
    config.loss.stage_weights = ()  # one per stage; (): equal ones
    config.loss.scale = "ldr_white"  # unit of the learned radiance; or "mean_half"

    config.optimizer = ml_collections.ConfigDict()
    config.optimizer.learning_rate = 2e-4
    config.optimizer.part_rates = ()  # ("whole/part", factor of its rate), ...
    config.optimizer.beta1 = 0.9
    config.optimizer.beta2 = 0.999
    config.optimizer.warmup_steps = 0  # linear, from 0
    config.optimizer.constant_share = 0.5  # of the steps, at full rate after warm-up
    config.optimizer.decay = "linear"  # to 0 at the last step; or "cosine"
    config.optimizer.clip_norm = 1.0  # largest global gradient norm; 0: no clipping
    config.optimizer.ema_decay = 0.999  # of the averaged parameters; 0: no averaging

    config.train = ml_collections.ConfigDict()
    config.train.num_steps = 10_000
    # Parameters to start from, of this model or of a part of it: a run, a weight file
    # or the name of a shipped model; several with + between.
    config.train.init_from = ""
    config.train.vgg16 = ""  # file of VGG16 weights, for SParam-Net's convolutions
    # Side in pixels of the part of a patch that gets a loss; 0: the whole patch.
    config.train.inner_crop = 0
    config.train.log_every = 20  # steps
    config.train.evaluate_every = 1_000  # steps; 0: never
    config.train.checkpoint_every = 500  # steps
    config.train.checkpoints_to_keep = 3

    config.eval = ml_collections.ConfigDict()
    config.eval.seed = 1_000_003  # of the validation cameras
    # Attributes of the validation cameras that differ from those of `camera`.
    config.eval.camera = ml_collections.ConfigDict()
    config.eval.metrics = (  # during training; eval.py computes all
        *("psnr_linear", "psnr_mu", "ssim_linear", "ssim_mu"),
        *("log2_rmse", "log2_rmse_clipped", "log2_rmse_unclipped"),
    )
    config.eval.best_metric = "log2_rmse"  # of the parameters kept in best/; "": none
    config.eval.best_window = 3  # the last validations whose median decides; 1: each
    config.eval.num_images = 16  # during training, spread over the split; 0: all
    config.eval.num_samples = 4  # of them on the sample sheet
    return config
