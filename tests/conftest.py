import jax
import pytest

from data_builders.shared.prepare import prepare

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def synthetic_small(tmp_path_factory):
    """A folder with `synthetic_hdr/small`, prepared by the real builder."""
    folder = str(tmp_path_factory.mktemp("prepared"))
    prepare("synthetic_hdr/small", data_dir=folder)
    return folder


@pytest.fixture
def key() -> jax.Array:
    return jax.random.key(0)
