from pathlib import Path

import pytest

from profiler.catalog import models

ROWS = models.rows()
# Names as published tables spell them, each with the row that is meant; two spaces between.
PUBLISHED = [line.rsplit(maxsplit=1) for line in Path(__file__).with_name("model_names.txt").read_text("utf-8").splitlines()]


@pytest.mark.parametrize(("name", "id"), PUBLISHED)
def test_a_published_name_leads_to_its_model(name, id):
    """However a published table spells a model, its row is found."""
    row = models.find(name)

    assert row is not None
    assert row.id == id


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("LLAMA 3.1 8B Instruct", "llama-3.1-8b"),
        ("Meta-Llama-3-8B-Instruct", "llama-3-8b"),
        ("code_llama 34b", "codellama-34b"),
        ("Mistral-7B-Instruct-v0.2", "mistral-7b-v0.2"),
        ("TinyLlama-1.1B-Chat-v1.0", "tinyllama-1.1b"),
        ("Qwen3-30B-A3B-Thinking-2507", "qwen3-30b-a3b"),
        ("Command-R+", "command-r-plus-104b"),
        ("gemma-3-1b-it", "gemma-3-1b"),
        ("phi-1_5", "phi-1.5"),
        ("bert", "bert-base"),
    ],
)
def test_spelling_does_not_matter(name, id):
    """Case, spaces, hyphens, and words that say how a checkpoint was tuned lead nowhere else."""
    row = models.find(name)

    assert row is not None
    assert row.id == id


@pytest.mark.parametrize("name", ["llama-3.3-8b", "gemma-31b", "gemma-27b", "gpt-5", "qwen", "t5", "owner/llama-7b", "base", ""])
def test_no_size_and_no_model_is_guessed(name):
    """What the catalogue lacks is not found, nor a name that could mean several sizes; a hub id is no name."""
    assert models.find(name) is None


def test_a_wrong_name_gets_its_neighbours():
    """Near misses are ids of the same series, found through any of their names."""
    assert set(models.nearest("llama-3.2-2b")) >= {"llama-3.2-1b", "llama-3.2-3b"}
    assert "deepseek-v3" in models.nearest("deepseek-r2")
    assert models.nearest("no such thing") == []


def test_every_row_finds_itself_and_no_other():
    """No name of a row leads to another row, and a row's names all lead to it."""
    for row in ROWS.values():
        assert {found.id for name in row.names if (found := models.find(name))} == {row.id}, row.id


def test_the_catalogue_is_wide_and_says_where_its_shapes_come_from():
    """At least a hundred models; each has a series, a year, and a hub repository or another source."""
    assert len(ROWS) >= 100
    for row in ROWS.values():
        assert row.family, row.id
        assert 2017 < row.released < 2030, row.id
        assert row.hub.count("/") == 1 or row.source, row.id


def test_a_size_in_a_name_is_the_size_of_the_model():
    """A name that ends in a count of parameters is not far off: some publishers leave the embedding out, or round down."""
    sizes = {"m": 1e6, "b": 1e9, "t": 1e12}
    for row in ROWS.values():
        *_, before, count, unit = ["", "", *models._words(row.name)]
        if unit in sizes and before not in ("a", "x"):  # 30B-A3B counts the active ones, 8x7B one expert
            assert 0.8 < row.parameters / float(count) / sizes[unit] < 1.7, row.id


def test_a_spec_is_made_once():
    """Asking twice gives the very same spec; random weights are another one where a row has trained ones."""
    row = ROWS[models.DEFAULT]

    assert row.spec() is row.spec()
    assert row.spec(random=True) is not row.spec()
