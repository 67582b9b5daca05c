import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr.errors import UserError
from jaxhdr.models import layers, vgg

# torchvision's numbering of vgg19: index in `features`, input and output channels.
_LAYERS = [
    *((0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128)),
    *((10, 128, 256), (12, 256, 256), (14, 256, 256), (16, 256, 256)),
    *((19, 256, 512), (21, 512, 512), (23, 512, 512), (25, 512, 512), (28, 512, 512)),
]

# Shape, mean, sum of squares and [1, -1, -1, :6] of relu1_1 ... relu5_1 for the state
# and image below, by PyTorch 2.13.0's conv2d and max_pool2d in float64.
_GOLDEN = [
    ((2, 33, 35, 64), 0.389178477, 68956.2959, [0, 0.2458039, 0.4227402, 1.430998]),
    ((2, 16, 17, 128), 0.502859904, 51806.3193, [1.133324, 0, 1.36999, 0]),
    ((2, 8, 8, 256), 0.586187968, 33730.824, [0, 0, 2.11781, 0.917727, 1.58977]),
    ((2, 4, 4, 512), 0.586787329, 18108.9289, [0, 0, 0, 0, 0, 0.6103137]),
    ((2, 2, 2, 512), 0.380470504, 1975.22112, [0, 0, 0, 0, 0.4441512, 0.8730038]),
]


@pytest.fixture(scope="module")
def state():
    arrays = {}
    for index, inputs, outputs in _LAYERS:
        random = np.random.default_rng(index)
        weight = random.random((outputs, inputs, 3, 3)) - 0.5
        weight *= np.sqrt(24 / (9 * inputs))
        arrays[f"features.{index}.weight"] = weight.astype(np.float32)
        bias = 0.1 * (random.random(outputs) - 0.5)
        arrays[f"features.{index}.bias"] = bias.astype(np.float32)
    return arrays


@pytest.fixture(scope="module")
def params(state):
    return vgg.vgg19_params(state)


def test_features_are_those_of_pytorch(params):
    image = np.random.default_rng(99).random((2, 33, 35, 3)).astype(np.float32)
    features = jax.jit(vgg.vgg19_features)(params, jnp.asarray(image))
    for feature, (shape, mean, energy, values) in zip(features, _GOLDEN, strict=True):
        assert feature.shape == shape
        np.testing.assert_allclose(feature.mean(), mean, rtol=1e-5)
        np.testing.assert_allclose(jnp.square(feature).sum(), energy, rtol=1e-5)
        got = feature[1, -1, -1, : len(values)]
        np.testing.assert_allclose(got, values, atol=2e-5)


def test_all_convolutions_are_those_of_the_kernels(params, monkeypatch):
    convolve, widths = layers.kernels.convolve, []

    def counted(x, kernel, **options):
        widths.append(kernel.shape[2:])
        return convolve(x, kernel, **options)

    monkeypatch.setattr(layers.kernels, "convolve", counted)
    jax.eval_shape(vgg.vgg19_features, params, jnp.zeros((1, 16, 16, 3)))
    assert widths == [(inputs, outputs) for _, inputs, outputs in _LAYERS]


def test_there_are_as_many_parameters_as_vgg19_has_up_to_relu5_1(params):
    # Table 1 of the paper, summed by hand: 3 x 3 x in x out + out for 13 layers.
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 12_944_960


def test_the_classifier_and_later_layers_are_left_out(state, params):
    extra = {"classifier.0.weight": np.zeros((4, 4), np.float32)}
    assert vgg.vgg19_params(state | extra).keys() == params.keys()


def test_the_smallest_image_leaves_one_pixel(params):
    shapes = jax.eval_shape(vgg.vgg19_features, params, jnp.zeros((1, 16, 16, 3)))
    assert shapes[-1].shape == (1, 1, 1, 512)


@pytest.mark.parametrize("size", [(15, 64), (64, 15), (1, 1)])
def test_smaller_images_are_refused(params, size):
    with pytest.raises(UserError, match="at least 16 x 16"):
        vgg.vgg19_features(params, jnp.zeros((1, *size, 3)))


def test_a_missing_layer_is_named(state):
    del_one = {k: v for k, v in state.items() if k != "features.28.bias"}
    with pytest.raises(UserError, match=r"features\.28\.bias"):
        vgg.vgg19_params(del_one)


def test_the_weights_of_vgg16_are_refused(state):
    # Configuration D has three layers in block 3: its features.17 is torchvision's
    # first layer of block 4, where vgg19 has a ReLU, and 16 is a pooling.
    vgg16 = {k: v for k, v in state.items() if int(k.split(".")[1]) < 16}
    with pytest.raises(UserError, match=r"features\.16\.weight"):
        vgg.vgg19_params(vgg16)


def test_another_shape_is_refused(state):
    wrong = state | {"features.5.weight": np.zeros((128, 3, 3, 64), np.float32)}
    with pytest.raises(UserError, match=r"\(128, 3, 3, 64\), expected \(128, 64, 3, 3"):
        vgg.vgg19_params(wrong)


# VGG16: the same, by table 1 of the paper.
_VGG16_LAYERS = [
    *(("1_1", 0, 3, 64), ("1_2", 2, 64, 64), ("2_1", 5, 64, 128), ("2_2", 7, 128, 128)),
    *(("3_1", 10, 128, 256), ("3_2", 12, 256, 256), ("3_3", 14, 256, 256)),
    *(("4_1", 17, 256, 512), ("4_2", 19, 512, 512), ("4_3", 21, 512, 512)),
    *(("5_1", 24, 512, 512), ("5_2", 26, 512, 512), ("5_3", 28, 512, 512)),
]


@pytest.fixture(scope="module")
def vgg16_state():
    random, state = np.random.default_rng(16), {}
    for _, index, inputs, outputs in _VGG16_LAYERS:
        weight = random.standard_normal((outputs, inputs, 3, 3), np.float32)
        state[f"features.{index}.weight"] = weight * np.sqrt(2 / (9 * inputs))
        state[f"features.{index}.bias"] = 0.1 * random.standard_normal(
            outputs, np.float32
        )
    return {name: np.asarray(x, np.float32) for name, x in state.items()}


def test_vgg16_is_that_of_the_state_dict(vgg16_state):
    image = np.random.default_rng(0).random((17, 16, 3), np.float32)
    x = image.transpose(2, 0, 1).astype(np.float64)  # PyTorch's order
    for name, index, _, _ in _VGG16_LAYERS:
        if name.endswith("_1") and name != "1_1":
            height, width = (n // 2 * 2 for n in x.shape[1:])
            x = x[:, :height, :width]
            x = x.reshape(len(x), height // 2, 2, width // 2, 2).max((2, 4))
        weight = vgg16_state[f"features.{index}.weight"]
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
        x = np.einsum("ihwyx,oiyx->ohw", windows, weight, optimize=True)
        x = np.maximum(x + vgg16_state[f"features.{index}.bias"][:, None, None], 0)
    assert x.shape == (512, 1, 1) and (x > 0).mean() > 0.2

    params = vgg.vgg16_params(vgg16_state)
    # The library leaves the first layer out; here it is put back, in its order.
    params["conv1_1"] = {
        "kernel": jnp.asarray(vgg16_state["features.0.weight"].transpose(2, 3, 1, 0)),
        "bias": jnp.asarray(vgg16_state["features.0.bias"]),
    }
    run = jax.jit(vgg.VGG(vgg.VGG16_DEPTHS).apply)
    last = run({"params": params}, jnp.asarray(image[None]))["relu5_3"]
    np.testing.assert_allclose(last[0], x.transpose(1, 2, 0), rtol=0, atol=1e-4)


def test_vgg16_params_are_those_of_the_network_but_for_the_first_layer(vgg16_state):
    params = vgg.vgg16_params(vgg16_state | {"classifier.0.bias": np.zeros(4)})
    variables = jax.eval_shape(
        vgg.VGG(vgg.VGG16_DEPTHS).init, jax.random.key(0), jnp.zeros((1, 32, 32, 18))
    )
    expected = variables["params"]
    assert expected.pop("conv1_1")["kernel"].shape == (3, 3, 18, 64)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, expected)
    # Configuration D without its first layer: 14,714,688 - 1,792.
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 14_712_896


@pytest.mark.parametrize(
    "name, value",
    [
        ("features.0.weight", np.zeros((64, 18, 3, 3), np.float32)),
        ("features.17.weight", np.zeros((3, 3, 256, 512), np.float32)),
        ("features.28.bias", np.zeros((512, 1), np.float32)),
    ],
)
def test_a_wrong_shape_in_a_vgg16_is_named(vgg16_state, name, value):
    with pytest.raises(UserError, match=f"'{name}' has shape .*torchvision's vgg16"):
        vgg.vgg16_params(vgg16_state | {name: value})


def test_the_weights_of_vgg19_are_no_vgg16(state):
    # torchvision's vgg19 has a convolution at 16 and none at 17.
    with pytest.raises(UserError, match=r"no 'features\.17\.weight'"):
        vgg.vgg16_params(state)
