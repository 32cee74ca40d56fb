import pytest

from profiler.catalog import models
from profiler.theory.step import parameters
from tests.families import built, counted

ROWS = list(models.rows().values())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_parameters_equal_the_published_checkpoint_and_transformers(row):
    """Our count, the checkpoint's and transformers' own agree to the last parameter; the last where transformers has a class."""
    assert parameters(row.spec()) == row.parameters
    assert not row.spec().assumed
    if row.spec().buildable:
        assert row.parameters == counted(built(row.config))


@pytest.mark.parametrize("name", ["smollm2", "SmolLM2-135M-Instruct", "smollm2 135m", "SMOLLM2-135M"])
def test_a_model_is_found_however_it_is_spelled(name):
    """Case, spaces and hyphens do not matter; aliases work."""
    row = models.find(name)

    assert row is not None
    assert row.id == "smollm2-135m"


def test_no_two_models_share_a_name():
    """A name leads to one model."""
    names = [models._plain(name) for row in ROWS for name in set(row.names)]

    assert all(len({row.id for row in ROWS if name in map(models._plain, row.names)}) == 1 for name in names)


def test_the_default_model_has_real_weights():
    """SmolLM2-135M is the trained one; with `random` asked for, its shape."""
    row = models.rows()[models.DEFAULT]

    assert row.spec().trained
    assert not row.spec(random=True).trained
    assert row.spec(random=True).reference == "random:smollm2-135m"
