"""The published FHDR network on its official state dict, layer by layer.

Written from the paper and the description of its official code, with none of the
library's: one image (h, w, c), OIHW kernels, each convolution a product with shifted
slices. Meant for float64, so that differences of two runs give derivatives.
"""

import numpy as np

_WIDTHS = {  # name: (out, in, size, has_bias); the paper's sections II-C and II-E
    "feb1": (64, 3, 3, True),
    "feb2": (64, 64, 3, True),
    "feedback_block.compress_in": (64, 128, 1, True),
    "feedback_block.GFF_3x3": (64, 64, 3, True),
    "hrb1": (64, 64, 3, True),
    "hrb2": (3, 64, 3, True),
}
for _n in (1, 2, 3):
    _block = f"feedback_block.DRDB{_n}"
    _WIDTHS[f"{_block}.compress"] = (64, 128, 1, True)
    _WIDTHS[f"{_block}.conv_1x1"] = (64, 192, 1, False)
    for _i in range(4):
        _WIDTHS[f"{_block}.dense_layers.{_i}.conv"] = (32, 64 + 32 * _i, 3, False)


def random_state(*, seed=0, gain=1.1):
    """An official state dict of noise; with 1.1 the outputs are not saturated."""
    random, state = np.random.default_rng(seed), {}
    for name, (out, into, size, has_bias) in _WIDTHS.items():
        kernel = random.normal(size=(out, into, size, size))
        scaled = gain * kernel / np.sqrt(into * size**2)
        state[f"{name}.weight"] = scaled.astype(np.float32)
        if has_bias:
            state[f"{name}.bias"] = (0.1 * random.normal(size=out)).astype(np.float32)
    return state


def run(state, encoded, *, num_iterations, between=lambda hidden: hidden):
    """The tanh outputs (t, h, w, 3) for one image.

    `between` is given each iteration's hidden state and returns what the next one sees.
    """

    def relu(x):
        return np.maximum(x, 0)

    def conv(name, x, *, dilation=1, mode="constant"):
        kernel = state[f"{name}.weight"]
        size = kernel.shape[-1]
        pad = dilation * (size // 2)
        height, width = x.shape[:2]
        x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)), mode=mode)
        taps = [
            x[i * dilation :, j * dilation :][:height, :width]
            for i in range(size)
            for j in range(size)
        ]
        kernel = kernel.reshape(*kernel.shape[:2], size**2)  # (out, in, tap)
        total = np.tensordot(np.stack(taps), kernel, axes=([0, 3], [2, 1]))
        bias = state.get(f"{name}.bias")
        return total if bias is None else total + bias[None, None]

    def dense_block(name, x, hidden):
        x = conv(f"{name}.compress", np.concatenate([x, hidden], -1))
        for i in range(4):
            new = relu(conv(f"{name}.dense_layers.{i}.conv", x, dilation=2))
            x = np.concatenate([x, new], -1)
        return conv(f"{name}.conv_1x1", x)

    low_level = relu(conv("feb1", (encoded - 0.5) / 0.5, mode="reflect"))
    features = relu(conv("feb2", low_level))
    hidden, outputs = None, []
    for _ in range(num_iterations):
        last = features if hidden is None else hidden[0]
        x = conv("feedback_block.compress_in", np.concatenate([features, last], -1))
        new = []
        for n in (1, 2, 3):
            local = x if hidden is None else hidden[n]
            x = dense_block(f"feedback_block.DRDB{n}", x, local)
            new.append(x)
        x = relu(conv("feedback_block.GFF_3x3", x))
        hidden = between((x, *new))
        x = relu(conv("hrb1", x + low_level))
        outputs.append(np.tanh(conv("hrb2", x, mode="reflect")))
    return np.stack(outputs)
