"""Scores a batch one pair after the other, for metrics that take much memory."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def each_pair(
    score: Callable[[Float[Array, "2 h w c"]], Any],
    test: Float[Array, "*batch h w c"],
    reference: Float[Array, "*batch h w c"],
) -> Any:
    """Returns the scores of every pair, using the memory of one pair at a time.

    Args:
      score: function from one pair, test first, to its scores.
      test: the estimates.
      reference: the truths.
    """
    batch = test.shape[:-3]
    pairs = jnp.stack([test, reference], axis=-4).reshape(-1, 2, *test.shape[-3:])
    if len(pairs) == 1:
        # Without a loop, XLA computes shared parts of several metrics only once.
        scores = jax.tree.map(lambda x: x[None], score(pairs[0]))
    else:
        scores = jax.lax.map(score, pairs)
    return jax.tree.map(lambda x: x.reshape(*batch, *x.shape[1:]), scores)
