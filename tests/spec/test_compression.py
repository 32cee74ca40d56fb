"""What is taken out of a model, in words and in shapes."""

import pytest
from pydantic import ValidationError

from profiler.catalog.models import rows
from profiler.spec.compression import Pruning, after, channels_kept, kept
from profiler.spec.model import Attention, ModelSpec
from profiler.theory.step import parameters

SMOLLM = rows()["smollm2-135m"].spec()  # 30 layers, 9 heads in 3 groups, 1,536 channels, 576 wide


def attention(model: ModelSpec) -> Attention:
    mixer = model.blocks[0].mixers[0]
    assert isinstance(mixer, Attention)
    return mixer


@pytest.mark.parametrize("word", ["magnitude:0.5", "wanda:0.35", "wanda:2:4", "magnitude:2:4", "heads:0.33", "channels:0.25", "layers:0.2"])
def test_a_word_survives_the_round_trip(word):
    """What the command line reads is what it writes."""
    assert Pruning.parse(word).word == word


@pytest.mark.parametrize(
    "word", ["wanda", "wanda:", "wanda:much", "wanda:0", "wanda:1", "wanda:-0.5", "rows:0.5", "", "wanda:nan", "heads:2:4"]
)
def test_a_word_that_is_none_is_refused(word):
    """An unknown method, no share, or one that is not between 0 and 1."""
    with pytest.raises(ValueError):  # noqa: PT011 - of either kind, the sentence is tested below
        Pruning.parse(word)


def test_the_refusal_shows_how_to_write_it():
    """One sentence with the form, examples and all methods."""
    with pytest.raises(ValueError, match="No pruning is called 'wanda:much'; write METHOD:SHARE") as caught:
        Pruning.parse("wanda:much")

    assert all(method in str(caught.value) for method in ("magnitude", "wanda", "heads", "channels", "layers"))


@pytest.mark.parametrize("fields", [{"method": "wanda", "share": 0.4}, {"method": "heads", "share": 0.5}])
def test_two_of_four_is_half_of_single_weights(fields):
    """The pattern goes with no other share and with no whole parts."""
    with pytest.raises(ValidationError, match="with magnitude or wanda, and a share of"):
        Pruning(pattern="2:4", **fields)


@pytest.mark.parametrize(
    ("word", "title", "structured"),
    [
        ("magnitude:0.5", "50% zeros by magnitude", False),
        ("wanda:2:4", "2:4 by wanda", False),
        ("heads:0.33", "33% of attention heads out", True),
        ("channels:0.25", "25% of MLP channels out", True),
        ("layers:0.2", "20% of layers out", True),
    ],
)
def test_its_title_says_what_goes(word, title, structured):
    """For lists; only whole parts make the model smaller."""
    pruning = Pruning.parse(word)

    assert pruning.title == title
    assert pruning.structured is structured


def test_zeros_leave_the_shape():
    """Without pruning, or with single weights at zero, the very same model."""
    for pruning in (None, Pruning.parse("magnitude:0.5"), Pruning.parse("wanda:2:4")):
        assert after(SMOLLM, pruning) is SMOLLM


def test_a_third_of_the_heads_is_one_group_of_three():
    """Six heads and two pairs of keys and values stay, each as wide as before; the difference in parameters is exact."""
    model = after(SMOLLM, Pruning.parse("heads:0.33"))
    group = 576 * 64 * (3 + 1 + 1 + 3)  # queries, keys, values, output

    assert (attention(model).heads, attention(model).kv_heads, attention(model).head_dim) == (6, 2, 64)
    assert parameters(SMOLLM) - parameters(model) == 30 * group


def test_a_quarter_of_the_channels():
    """1,152 of 1,536 channels stay, in three matrices of each layer."""
    model = after(SMOLLM, Pruning.parse("channels:0.25"))

    assert [block.mlp.width for block in model.blocks if block.mlp] == [1152]
    assert parameters(SMOLLM) - parameters(model) == 30 * 3 * 576 * 384


def test_a_fifth_of_the_layers():
    """Six of thirty go, nothing else changes."""
    model = after(SMOLLM, Pruning.parse("layers:0.2"))

    assert [block.repeat for block in model.blocks] == [24]
    assert model.blocks[0].model_copy(update={"repeat": 30}) == SMOLLM.blocks[0]


def test_something_always_stays():
    """The nearest whole number, but never nothing."""
    assert [kept(30, 0.2), kept(3, 0.33), kept(3, 0.5), kept(2, 0.99), kept(1, 0.5)] == [24, 2, 1, 1, 1]
    assert [channels_kept(1536, 0.25), channels_kept(1536, 0.999), channels_kept(16, 0.25)] == [1152, 32, 12]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.5, 0.9])
def test_channels_stay_in_groups_of_32(share):
    """Of all widths that kernels like, a multiple of 32 within half a group of the share."""
    for width in range(64, 8192, 32):
        stays = channels_kept(width, share)
        assert stays % 32 == 0
        assert abs(stays - width * (1 - share)) <= 16 or stays == 32
        assert stays <= width


def test_only_plain_models_lose_heads_or_channels():
    """A mixture and a state space have other parts; the sentence says what works."""
    for name in ("mixtral-8x7b", "mamba-130m"):
        for word in ("heads:0.5", "channels:0.5"):
            with pytest.raises(ValueError, match="take out layers instead"):
                after(rows()[name].spec(), Pruning.parse(word))


def test_layers_of_several_kinds_stay():
    """Which of them go is known only once the weights are seen."""
    with pytest.raises(ValueError, match="layers of several kinds"):
        after(rows()["gemma-2-2b"].spec(), Pruning.parse("layers:0.5"))
