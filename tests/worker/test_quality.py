"""Quality: the formulas by hand, and a small model scored beside its own reference."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from profiler.spec.work import Generate
from profiler.worker import kv_cache, quality, reference, scores
from profiler.worker.engines import native
from profiler.worker.texts import held_back
from tests.worker.reading import Heard, job, reader, tokenizer

TOKENS = 300  # two windows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return reader(tmp_path_factory.mktemp("models") / "reader")


def scored(given, engine=None):
    """One score: the event, and what else was told."""
    told = Heard()
    with torch.inference_mode():
        quality.score(given, told, engine or native.load(given, told))
    return told.of("scored"), told


# --- formulas


def test_surprise_by_hand():
    """A token of probability 1/4 surprises by ln 4."""
    logs, sound = scores.foretold(torch.tensor([[2.0, 1.0, 1.0]]).log())

    assert sound.all()
    assert scores.surprise(logs, torch.tensor([1])).item() == pytest.approx(math.log(4))


def test_perplexity_of_the_uniform_distribution_is_the_vocabulary():
    """Forty equally likely tokens: a perplexity of forty."""
    logs, _ = scores.foretold(torch.zeros(7, 40))

    assert scores.perplexity(scores.surprise(logs, torch.arange(7))) == pytest.approx(40)


def test_guessing_by_hand():
    """Two tokens, equally frequent: ln 2. One token alone: nothing to guess."""
    assert scores.guessing(torch.tensor([5, 9, 9, 5])) == pytest.approx(math.log(2))
    assert scores.guessing(torch.tensor([5, 5])) == 0


def test_divergence_by_hand():
    """Two distributions of two tokens: p = (1/2, 1/2), q = (1/4, 3/4)."""
    p, q = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()

    assert scores.divergence(scores.top(p), q).item() == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))


def test_divergence_with_a_bucket_by_hand():
    """Of p = (1/2, 1/4, 1/4) only the first is kept: it and the rest count, whatever the rest is made of."""
    p, q = torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([[0.25, 0.74, 0.01]]).log()

    assert scores.divergence(scores.top(p, 1), q).item() == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), rel=1e-5)


@pytest.mark.parametrize("vocabulary", [8, 256, 5000])
def test_divergence_is_at_most_the_full_one(vocabulary):
    """Equal to the full divergence where the vocabulary is kept whole; else below it, and near."""
    generator = torch.Generator().manual_seed(0)
    p = (4 * torch.randn(50, vocabulary, generator=generator)).log_softmax(-1)
    q = (p + 0.5 * torch.randn(50, vocabulary, generator=generator)).log_softmax(-1)
    full = kl_div(q, p, log_target=True, reduction="none").sum(-1)
    found = scores.divergence(scores.top(p), q)

    if vocabulary <= scores.TOP:
        assert torch.allclose(found, full, rtol=1e-3, atol=1e-5)
    else:
        assert (found <= full + 1e-5).all()
        assert found.mean() > 0.9 * full.mean()


def test_a_model_does_not_diverge_from_itself():
    """The same logits: nothing, to the precision of float32."""
    logs, _ = scores.foretold(5 * torch.randn(20, 3000, generator=torch.Generator().manual_seed(1)))

    assert scores.divergence(scores.top(logs), logs).max() < 1e-6


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_answer_that_is_no_number_is_the_uniform_one(bad):
    """One bad logit: the place is broken, and its surprise is ln(vocabulary)."""
    logits = torch.randn(3, 10)
    logits[1, 4] = bad
    logs, sound = scores.foretold(logits)

    assert sound.tolist() == [True, False, True]
    assert scores.surprise(logs, torch.tensor([0, 0, 0]))[1].item() == pytest.approx(math.log(10))


def test_word_places_by_hand():
    """Whole words of four letters and more, neither first nor last: not "the", not the beginning of "words", no numbers."""
    tokens = ["ĠWhere", "Ġthe", "Ġword", "s", "Ġstand", "Ġfour", ".", "Ġ1234", "Ċ", "Ġlast", "Ċ", "▁piece", "▁end", "Ġopen"]

    assert [tokens[place] for place in scores.word_places(tokens)] == ["Ġstand", "Ġfour", "Ġlast", "▁piece"]


def test_questions_are_about_words_of_the_text():
    """Four different words, one of them the true one; the same each time."""
    read = tokenizer()
    windows, _ = held_back(read, 1024)
    true = windows[:, 1:].flatten()
    asked = scores.questions(windows, read)
    words = [read.decode([token]) for token in asked.options.flatten().tolist()]

    assert len(asked.places) > 50
    assert (asked.options.gather(1, asked.answers[:, None])[:, 0] == true[asked.places]).all()
    assert all(len(set(row)) == scores.OPTIONS for row in asked.options.tolist())
    assert all(word[0] == " " and word[1:].isalpha() and len(word) > scores.LETTERS for word in words)
    assert all(map(torch.equal, asked, scores.questions(windows, read)))


def test_chance_answers_one_of_four():
    """Random logits and constant ones get about a quarter right."""
    read = tokenizer()
    windows, _ = held_back(read, 8000)
    asked = scores.questions(windows, read)
    noise = torch.rand(windows[:, 1:].numel(), len(read), generator=torch.Generator().manual_seed(0))

    assert len(asked.places) > 1000
    for logs in (noise, torch.zeros_like(noise)):
        assert scores.right(asked, logs).float().mean().item() == pytest.approx(0.25, abs=0.05)


def test_right_by_hand():
    """The likeliest of the four options decides, whatever else the vocabulary holds; only the places at hand are answered."""
    asked = scores.Questions(torch.tensor([3, 6]), torch.tensor([[1, 2, 3, 4], [4, 3, 2, 1]]), torch.tensor([1, 0]))
    logs = torch.tensor([[9.0, 0, 1, 0, 0], [9.0, 0, 0, 1, 0]])

    assert scores.right(asked, logs[:1], first=3).tolist() == [True]
    assert scores.right(asked, logs[1:], first=6).tolist() == [False]
    assert scores.right(asked, logs, first=0).tolist() == []


def test_a_text_without_words_has_no_questions():
    """Fewer than four words that are one token: nothing is asked, and nothing is answered."""
    read = tokenizer()
    asked = scores.questions(read("1 + 2 = 3; 4 + 5 = 9", return_tensors="pt")["input_ids"], read)

    assert asked.options.shape == (0, scores.OPTIONS)
    assert len(scores.right(asked, torch.zeros(5, len(read)))) == 0


# --- a model


def test_the_uncompressed_model_is_its_own_reference(folder, tmp_path):
    """In float32: no divergence, full agreement, and the surprise is torch's own cross-entropy."""
    given = job(folder, Generate(quality=TOKENS), tmp_path)
    engine = native.load(given, Heard())
    (found,), _ = scored(given, engine)
    windows, _ = held_back(engine.tokenizer, TOKENS)
    with torch.inference_mode():
        logits = engine.model(input_ids=windows).logits[:, :-1]
    wanted = cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten(), reduction="none")

    assert len(found.surprise) == len(found.reference) == len(found.divergence) == len(found.agrees) == windows[:, 1:].numel()
    assert found.surprise == pytest.approx(wanted.tolist(), abs=1e-4)
    assert found.surprise == found.reference
    assert max(found.divergence) < 1e-5
    assert all(found.agrees)
    assert found.right == found.reference_right
    assert found.broken == 0


def test_the_reference_is_computed_once(folder, tmp_path):
    """The second score reads what the first kept, and says the same; a damaged file is made anew."""
    given = job(folder, Generate(quality=TOKENS), tmp_path, dtype="bfloat16")
    (first,), told = scored(given)
    (second,), again = scored(given)
    (kept,) = (tmp_path / "references").iterdir()
    kept.write_bytes(kept.read_bytes()[:1000])
    (third,), anew = scored(given)

    assert reference.NOTE in [phase.note for phase in told.of("phase")]
    assert reference.NOTE not in [phase.note for phase in again.of("phase")]
    assert reference.NOTE in [phase.note for phase in anew.of("phase")]
    assert first.reference == second.reference == third.reference
    assert list((tmp_path / "references").iterdir()) == [kept]


def test_sixteen_bits_are_judged_by_float32(folder, tmp_path):
    """A bfloat16 model's reference is the float32 one's, so its rounding is seen; loading it is no phase of the run."""
    (rounded,), told = scored(job(folder, Generate(quality=TOKENS), tmp_path, dtype="bfloat16"))
    (exact,), _ = scored(job(folder, Generate(quality=TOKENS), tmp_path))

    assert rounded.reference == exact.surprise
    assert 0 < sum(rounded.divergence) / len(rounded.divergence) < 0.1
    assert [measured.name for measured in told.of("measured")] == ["load_time"]


def test_changed_weights_have_a_reference_of_their_own(tmp_path):
    """Other weights at the same place, another text or another length: another key."""
    folder = reader(tmp_path / "reader")
    scored(job(folder, Generate(quality=20), tmp_path))
    scored(job(folder, Generate(quality=20), tmp_path))
    assert len(list((tmp_path / "references").iterdir())) == 1

    scored(job(folder, Generate(quality=30), tmp_path))
    (folder / "model.safetensors").touch()
    scored(job(folder, Generate(quality=20), tmp_path))
    assert len(list((tmp_path / "references").iterdir())) == 3


@pytest.mark.parametrize("reads", [True, False])
def test_quality_without_meaning_is_not_scored(tmp_path, reads):
    """Random weights, or no tokenizer: nothing is told."""
    model = f"random:{reader(tmp_path / 'reader')}" if reads else reader(tmp_path / "mute", reads=False)
    found, told = scored(job(model, Generate(quality=TOKENS), tmp_path))

    assert not found
    assert [phase.name for phase in told.of("phase")] == ["load"]


class Broken:
    """An engine that loses its mind at the third token of each window."""

    def __init__(self, engine):
        self.engine, self.tokenizer, self.weight_bytes = engine, engine.tokenizer, engine.weight_bytes

    def logits(self, ids):
        found = self.engine.logits(ids).clone()
        found[2] = math.nan
        return found


def test_broken_places_are_counted(folder, tmp_path):
    """A place without numbers has the worst surprise and divergence, agrees with nothing, and does not spoil the others."""
    given = job(folder, Generate(quality=TOKENS), tmp_path)
    engine = native.load(given, Heard())
    scored(given, engine)
    (found,), _ = scored(given, Broken(engine))
    worst = pytest.approx(math.log(engine.vocab), abs=1e-5)

    assert found.broken == 2
    assert found.surprise[2] == found.divergence[2] == worst
    assert not found.agrees[2]
    assert found.surprise[3:200] == found.reference[3:200]


def test_a_model_too_large_for_float32_is_judged_in_sixteen_bits(folder, tmp_path):
    """Where float32 takes more than half of the memory, bfloat16 is the reference; where not even two models fit, a sentence says so."""
    given = job(folder, Generate(quality=20), tmp_path, dtype="bfloat16")
    engine = native.load(given, Heard())
    (found,), _ = scored(job(folder, Generate(quality=20), tmp_path, memory=2 * engine.weight_bytes, dtype="bfloat16"), engine)
    assert found.surprise == found.reference

    with pytest.raises(ValueError, match="first run the uncompressed model in bfloat16"):
        scored(job(folder, Generate(quality=40), tmp_path, memory=2 * engine.weight_bytes, dtype="float16"))


def test_a_cache_of_its_own_format_is_read_by_the_score(folder, tmp_path, monkeypatch):
    """With a cache format the text goes by chunks through the cache; a plain cache gives the same logits as no cache."""
    caches = []
    monkeypatch.setattr(kv_cache, "made", lambda model, kv: caches.append(kv))
    given = job(folder, Generate(), tmp_path)
    engine = native.load(given, Heard())
    ids = held_back(engine.tokenizer, 100)[0][0]
    with torch.inference_mode():
        whole = engine.logits(ids)
        engine.setup = engine.setup.model_copy(update={"kv": "int8-kv"})
        chunks = engine.logits(ids)

    assert caches == ["int8-kv"]
    assert chunks.shape == whole.shape
    assert torch.allclose(chunks, whole, atol=1e-3)


def test_a_text_that_cannot_be_scored_is_told_beforehand(folder, tmp_path):
    """`quality.text` raises before anything is measured."""
    given = job(folder, Generate(quality=20, text=str(tmp_path / "gone.txt")), tmp_path)

    with pytest.raises(ValueError, match="cannot be read"):
        quality.text(given, native.load(given, Heard()))
