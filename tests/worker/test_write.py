"""Writing: an answer in pieces that, joined, are the whole answer."""

import pytest
import torch

from profiler.spec.run import Setup
from profiler.spec.work import Write
from profiler.worker import write
from profiler.worker.decoding import Decoding
from profiler.worker.loading import open_model
from profiler.worker.write import Speech, ends, pieces, prompt_ids
from tests.worker.reading import Heard, job, reader, tokenizer

PROMPT = "The statement returns a value."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return reader(tmp_path_factory.mktemp("models") / "reader")


class Scripted:
    """Steps that say a given list of tokens; a step takes a tenth of a second."""

    def __init__(self, tokens: list[int]):
        self.tokens, self.said = tokens, []

    def timed_prefill(self) -> float:
        self.said = self.tokens[:1]
        return 2.0

    def timed_steps(self, count: int) -> list[float]:
        self.said = self.tokens[: len(self.said) + count]
        return [0.1] * count


def test_pieces_come_four_times_a_second():
    """The first token with the prefill, the second alone, to see how long one takes; then what a quarter of a second holds."""
    found = list(pieces(Scripted(list(range(10, 30))), 8, {1}))

    assert [said for said, _ in found] == [[10], [11], [12, 13], [14, 15], [16, 17]]
    assert [seconds for _, seconds in found][:2] == [[2.0], [0.1]]


@pytest.mark.parametrize(
    ("tokens", "said", "steps"), [([10, 11, 12, 1, 14], [10, 11, 12], 4), ([1, 10, 11], [], 1), ([10, 1, 11], [10], 2)]
)
def test_the_end_mark_ends_the_answer(tokens, said, steps):
    """What comes after the end mark is not said, though the steps went on; the mark's own time is told."""
    found = list(pieces(Scripted(tokens), 5, {1, 2}))

    assert [token for piece, _ in found for token in piece] == said
    assert sum(len(seconds) for _, seconds in found) == steps


@pytest.mark.parametrize("text", ["Plain words.", "Grüße, 你好 👩‍👩‍👧 – naïve", "👍", "a\ufffdb ends with \ufffd"])
def test_joined_pieces_are_the_whole_text(text):
    """Token by token, characters of several bytes included: no piece has half a character, and nothing is lost."""
    read = tokenizer()
    ids, speech = read(text)["input_ids"], Speech(read)
    parts = [speech.more([token]) for token in ids]
    last = speech.rest()

    assert "".join([*parts, last]) == speech.told == read.decode(ids) == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in part for part in parts)


def test_half_a_character_at_the_end_is_told():
    """An answer that is cut inside a character ends with the sign for it."""
    read = tokenizer()
    ids, speech = read("你")["input_ids"], Speech(read)

    assert len(ids) == 3
    assert speech.more(ids[:2]) == ""
    assert speech.rest() == read.decode(ids[:2])


def test_an_answer_is_what_greedy_decoding_says(folder, tmp_path):
    """The said pieces joined are the finished text, which is that of the same greedy steps; tokens and seconds add up."""
    told = Heard()
    done = write.run(job(folder, Write(prompt=PROMPT, new_tokens=12), tmp_path), told)
    read, said = tokenizer(), told.of("said")
    with torch.inference_mode():
        decoding = Decoding(open_model(folder, "reader", job(folder, Write(prompt="x"), tmp_path).spec.setup), _ids(read), Setup())
        decoding.prefill()
        decoding.timed_steps(11)
    wanted = [int(token) for token in decoding.said]
    wanted = wanted[: wanted.index(1)] if 1 in wanted else wanted

    assert done.text == "".join(piece.text for piece in said) == read.decode(wanted, skip_special_tokens=True)
    assert done.facts["tokens"] == sum(piece.tokens for piece in said) == len(wanted)
    assert done.facts["seconds"] == pytest.approx(sum(piece.seconds for piece in said))
    assert done.facts["time_to_first_token"] == said[0].seconds > 0


def _ids(read):
    return torch.tensor([read(PROMPT)["input_ids"]])


def test_a_chat_model_is_asked_in_its_own_form():
    """The tokenizer's template is put around the prompt, with the place where the answer begins."""
    read = tokenizer()
    assert prompt_ids(PROMPT, read) == read(PROMPT)["input_ids"]

    read.chat_template = (
        "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}</s>{% endfor %}{% if add_generation_prompt %}me:{% endif %}"
    )
    assert read.decode(prompt_ids(PROMPT, read)) == f"<s>user: {PROMPT}</s>me:"


def test_all_end_marks_are_known(folder, tmp_path):
    """The tokenizer's own, and those of the folder's generation_config.json, of which there may be several."""
    from transformers import AutoTokenizer, GenerationConfig

    GenerationConfig(eos_token_id=[7, 9]).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)

    assert ends(AutoTokenizer.from_pretrained(tmp_path)) == {1, 7, 9}
    assert ends(tokenizer()) == {1}


def test_a_short_room_ends_the_answer(folder, tmp_path, monkeypatch):
    """As many tokens as the model's context has room for, where more are asked for and nothing ends the answer."""
    monkeypatch.setattr(write, "ends", lambda tokenizer: set())
    prompt = " value" * 500
    done = write.run(job(folder, Write(prompt=prompt, new_tokens=4000), tmp_path), Heard())

    assert done.facts["tokens"] == 512 - len(tokenizer()(prompt)["input_ids"])


@pytest.mark.parametrize(
    ("model", "prompt", "why"),
    [("random", PROMPT, "random weights"), ("mute", PROMPT, "no tokenizer"), ("reader", PROMPT * 200, "shorten it")],
)
def test_what_cannot_be_answered_says_why(tmp_path, model, prompt, why):
    """Random weights, no tokenizer, a prompt longer than the context: one sentence."""
    folder = reader(tmp_path / "reader", reads=model != "mute")

    with pytest.raises(ValueError, match=why):
        write.run(job(f"random:{folder}" if model == "random" else folder, Write(prompt=prompt), tmp_path), Heard())
