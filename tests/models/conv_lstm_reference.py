"""ConvLSTM-Net gate by gate and step by step, for one image (h, w, c).

Written from Oh et al. (2021) section 2.2 and equation 3 of Shi et al. (2015), with
none of the library's: each convolution a sum over shifted slices, the last layer a
transposed convolution. Arrays have the names and shapes of the library's parameters,
flattened with "/". Meant for float64, so that differences give derivatives.
"""

import numpy as np

_GATES = ("write", "forget", "candidate", "output")


def random_state(*, peepholes, shared_prelu, seed=0):
    """Arrays of noise, such that gates are not saturated."""
    random, state = np.random.default_rng(seed), {}

    def layer(name, size, into, out, gain):
        kernel = gain * random.normal(size=(size, size, into, out))
        state[f"{name}/kernel"] = kernel / np.sqrt(size**2 * into)
        state[f"{name}/bias"] = 0.1 * random.normal(size=out)

    for number, (into, out) in enumerate([(6, 64), (64, 6)], 1):
        name = f"encoder/layer_{number}"
        layer(f"{name}/gates", 3, into + out, 4 * out, 1.5)
        for gate in ("write", "forget", "output") if peepholes else ():
            state[f"{name}/peep_{gate}"] = random.normal(size=out)
    into, middle = 6, [(3, 12)] * 4
    for number, (size, out) in enumerate([(5, 64), (1, 12), *middle, (1, 64)], 1):
        layer(f"decoder/convolution_{number}", size, into, out, 1.5)
        slopes = random.uniform(0.1, 0.9, size=1 if shared_prelu else out)
        state[f"decoder/prelu_{number}/slope"] = slopes
        into = out
    layer("decoder/deconvolution", 9, 64, 3, 0.3)
    return state


def run(state, first, maps, *, forget_bias=1.0):
    """The last layer's output before any head; the steps read (first, map)."""
    height, width, _ = first.shape
    states = [[np.zeros((height, width, c)) for _ in range(2)] for c in (64, 6)]
    for region in maps:
        x = np.concatenate([first, region], -1)
        for number, layer_state in enumerate(states, 1):
            x = _step(state, f"encoder/layer_{number}", x, layer_state, forget_bias)
    for number in range(1, 8):
        x = _convolve(state, f"decoder/convolution_{number}", x)
        slope = state[f"decoder/prelu_{number}/slope"]
        x = np.maximum(x, 0) + slope.reshape(1, 1, -1) * np.minimum(x, 0)
    return _deconvolve(state, "decoder/deconvolution", x)


def _step(state, name, x, layer_state, forget_bias):
    """Updates [cell, hidden] in place and returns the new hidden state."""
    cell, hidden = layer_state
    width = cell.shape[-1]
    both = np.concatenate([x, hidden], -1)
    gates = {}
    for i, gate in enumerate(_GATES):
        part = {
            f"{gate}/{leaf}": state[f"{name}/gates/{leaf}"][
                ..., i * width : (i + 1) * width
            ]
            for leaf in ("kernel", "bias")
        }
        gates[gate] = _convolve(part, gate, both)

    def peep(gate, cell):
        weight = state.get(f"{name}/peep_{gate}", np.zeros(width))
        return weight.reshape(1, 1, -1) * cell

    write = _sigmoid(gates["write"] + peep("write", cell))
    forget = _sigmoid(gates["forget"] + forget_bias + peep("forget", cell))
    cell = forget * cell + write * np.tanh(gates["candidate"])
    output = _sigmoid(gates["output"] + peep("output", cell))
    layer_state[:] = cell, output * np.tanh(cell)
    return layer_state[1]


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _convolve(state, name, x):
    kernel, bias = state[f"{name}/kernel"], state[f"{name}/bias"]
    size, (height, width, _) = len(kernel), x.shape
    padded = np.pad(x, ((size // 2,) * 2, (size // 2,) * 2, (0, 0)))
    total = np.zeros((height, width, len(bias))) + bias.reshape(1, 1, -1)
    for i in range(size):
        for j in range(size):
            total += padded[i : i + height, j : j + width] @ kernel[i, j]
    return total


def _deconvolve(state, name, x):
    """Each pixel adds its kernel, turned by half a turn, to the image around it."""
    kernel, bias = state[f"{name}/kernel"][::-1, ::-1], state[f"{name}/bias"]
    size, (height, width, _) = len(kernel), x.shape
    total = np.zeros((height + size - 1, width + size - 1, len(bias)))
    for i in range(size):
        for j in range(size):
            total[i : i + height, j : j + width] += x @ kernel[i, j]
    margin = size // 2
    return total[margin:, margin:][:height, :width] + bias.reshape(1, 1, -1)
