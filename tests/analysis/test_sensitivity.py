"""Which parts of a model bear quantization badly."""

import pytest

from profiler.analysis.labs import LABS, conclude, planned
from profiler.analysis.sensitivity import cells, extra_bytes, kept
from tests.compressed import sensitivity
from tests.experiments import conditions


def test_the_worst_layers_are_named_with_what_they_cost():
    """0.5 of 0.9 nats in one part: it alone loses half; 16 bits instead of 5 for its elements."""
    found = conclude(LABS["sensitivity"], sensitivity({"attention": [0.1] * 2, "MLP": [0.5, 0.1], "lm_head": [0.1]}, everything=1.0))

    assert found.title == "Layer 0's MLP matters most: 1 of 5 parts loses half of all that is lost"
    assert found.numbers["bytes"] == pytest.approx(3 * 576 * 1536 * (16 - 5) / 8)
    assert found.numbers["saved"] == pytest.approx(5 / 9)
    assert "All of them at once lose 1.0 nats, where the sum of each alone is 0.90 nats" in found.sentence


def test_next_to_nothing_is_called_so():
    """Less than 0.01 nats in all: no layer is said to matter."""
    found = conclude(LABS["sensitivity"], sensitivity({"attention": [0.0001] * 2, "lm_head": [0.0012]}))

    assert found.title == "Hardly anything is lost: 0.0014 nats over all 3 parts"
    assert "comes from a 4-bit file" in found.sentence


def test_parts_kept_in_16_bits_come_by_what_they_are_worth():
    """From all quantized to nothing quantized: bytes grow, the loss falls to zero."""
    line = kept(sensitivity({"attention": [0.1], "MLP": [0.5], "lm_head": [0.1]}))

    assert [round(left, 6) for _, left in line] == [0.7, 0.2, 0.1, 0.0]
    assert [size for size, _ in line] == sorted(size for size, _ in line)


def test_a_tied_lm_head_has_its_table_of_bytes():
    """49,152 words of 576 columns, from 8 bits to 16."""
    spec = sensitivity({"MLP": [0.1, 0.2]}).specs[0]

    assert extra_bytes(spec)["lm_head"] == pytest.approx(49152 * 576)


def test_cells_come_worst_first():
    """The title of each says where it is."""
    found = cells(sensitivity({"attention": [0.1, 0.3], "lm_head": [0.2]}))

    assert [cell.title for cell in found] == ["layer 1's attention", "the lm_head", "layer 0's attention"]


def test_random_weights_have_no_sensitivity():
    """One sentence, and what to do."""
    with pytest.raises(ValueError, match="random weights here, so there is no quality to lose; choose"):
        planned(LABS["sensitivity"], conditions())
