import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr.errors import UserError
from jaxhdr.models import vgg

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
