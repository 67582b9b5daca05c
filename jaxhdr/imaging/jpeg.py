"""Simulates the loss of baseline JPEG on the device; `encoded` images in [0, 1]."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Luma-chroma matrix of JFIF 1.02 (ITU-T T.871), full range.
_TO_YCBCR = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.168735892, -0.331264108, 0.5],
        [0.5, -0.418687589, -0.081312411],
    ],
    np.float32,
)

# ITU-T T.81 (JPEG), tables K.1 and K.2.
_LUMA_STEPS = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)
_CHROMA_STEPS = np.full((8, 8), 99, np.float32)
_CHROMA_STEPS[:4, :4] = [
    [17, 18, 24, 47],
    [18, 21, 26, 66],
    [24, 26, 56, 99],
    [47, 66, 99, 99],
]


def degrade(
    encoded: Float[Array, "h w 3"], quality: Float[Array, ""] | float
) -> Float[Array, "h w 3"]:
    """Returns the image after baseline JPEG compression with 4:2:0 chroma.

    The function does the lossy steps of ITU-T T.81, without entropy coding. Libjpeg's
    rule scales the example tables by `quality` in [1, 100]. Chroma is repeated, not
    smoothed, to full size.
    """
    height, width = encoded.shape[:2]
    padding = ((0, -height % 16), (0, -width % 16), (0, 0))
    padded = jnp.pad(encoded * 255, padding, mode="edge")
    ycbcr = padded @ _TO_YCBCR.T
    scale = jnp.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    luma = _code_blocks(ycbcr[..., 0] - 128, _LUMA_STEPS, scale) + 128
    chroma = ycbcr[..., 1:].reshape(padded.shape[0] // 2, 2, -1, 2, 2).mean((1, 3))
    chroma = jnp.stack(
        [_code_blocks(chroma[..., i], _CHROMA_STEPS, scale) for i in range(2)], -1
    )
    chroma = chroma.repeat(2, axis=0).repeat(2, axis=1)
    decoded = jnp.concatenate([luma[..., None], chroma], -1)
    decoded = decoded @ np.linalg.inv(_TO_YCBCR).T.astype(np.float32) / 255
    return jnp.clip(decoded[:height, :width], 0.0, 1.0)


def _code_blocks(plane, steps, scale):
    """Returns a plane centred on zero whose 8 x 8 cosine coefficients are quantised."""
    frequency, position = np.mgrid[:8, :8].astype(np.float32)
    basis = np.cos((2 * position + 1) * frequency * np.pi / 16) / 2
    basis[0] /= np.sqrt(2)
    steps = jnp.clip(jnp.floor((steps * scale + 50) / 100), 1, 255)[None, :, None, :]
    blocks = plane.reshape(plane.shape[0] // 8, 8, -1, 8)
    coefficients = jnp.einsum("ui,aibj,vj->aubv", basis, blocks, basis)
    coefficients = jnp.round(coefficients / steps) * steps
    return jnp.einsum("ui,aubv,vj->aibj", basis, coefficients, basis).reshape(
        plane.shape
    )
