"""How well a distribution of the next token foretells a text: formulas on tensors, nothing else.

Places are numbered by what is foretold: row t of the logits, after token t, foretells token t + 1. All is in nats.
"""

import math
from random import Random
from typing import NamedTuple

import torch
from transformers import PreTrainedTokenizerBase

TOP = 256  # log-probabilities of the reference that are kept at each place
OPTIONS = 4  # words to choose from in a question
LETTERS = 4  # that such a word has at least
SPACES = ("Ġ", "▁")  # how a token writes the space before a word: byte-level vocabularies, and SentencePiece
BREAKS = "Ġ▁Ċĉč"  # with which a token does not go on with the word before it
SMALLEST = 1e-12  # a share of the distribution below this is rounding


class Top(NamedTuple):
    """The likeliest tokens at each place, the likeliest first: a distribution but for one bucket that holds the rest."""

    ids: torch.Tensor  # int32 (places, k)
    logs: torch.Tensor  # float32 (places, k), log-probabilities
    whole: bool  # k is the whole vocabulary, so nothing is in the bucket


class Questions(NamedTuple):
    """Words that could stand at a place, one of them the true one."""

    places: torch.Tensor  # int64 (questions,)
    options: torch.Tensor  # int64 (questions, OPTIONS), token ids
    answers: torch.Tensor  # int64 (questions,), which option is the true one


def foretold(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities float32 (places, vocabulary) of logits float32 (places, vocabulary), and where they are numbers.

    A place with a logit that is none (NaN or infinite) is given the uniform distribution, so its surprise is
    ln(vocabulary).
    """
    sound = logits.isfinite().all(-1)
    if not sound.all():
        logits = torch.where(sound[:, None], logits, 0.0)
    return logits.log_softmax(-1), sound


def surprise(logs: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """−ln p of the true tokens int64 (places,): float32 (places,). Its mean is the cross-entropy, e to that mean the perplexity
    (Jelinek et al. 1977, Perplexity: a measure of the difficulty of speech recognition tasks).
    """
    return -logs.gather(-1, true[:, None])[:, 0]


def perplexity(surprises: torch.Tensor) -> float:
    """The number of equally likely tokens that would surprise as much."""
    return math.exp(float(surprises.double().mean()))


def top(logs: torch.Tensor, count: int = TOP) -> Top:
    """What is kept of a distribution (places, vocabulary)."""
    count = min(count, logs.shape[-1])
    values, ids = logs.topk(count, dim=-1)
    return Top(ids.int(), values, count == logs.shape[-1])


def divergence(reference: Top, logs: torch.Tensor) -> torch.Tensor:
    """KL(reference ‖ model), float32 (places,), where the reference's rest is one bucket.

    Σ p (ln p − ln q) (Kullback and Leibler 1951, On information and sufficiency). Merging outcomes can only lower it (the
    data-processing inequality; Cover and Thomas, Elements of Information Theory, 2.8), so this is a lower bound of the full
    divergence: tight, since the likeliest 256 tokens hold nearly all of the distribution, and equal where the vocabulary
    is no larger.
    """
    p, q = reference.logs.double(), logs.gather(-1, reference.ids.long()).double()
    kept = (p.exp() * (p - q)).sum(-1)
    if reference.whole:
        return kept.float().clamp(min=0.0)
    p_rest, q_rest = ((1 - part.exp().sum(-1)).clamp(min=SMALLEST) for part in (p, q))
    return (kept + p_rest * (p_rest / q_rest).log()).float().clamp(min=0.0)


def guessing(true: torch.Tensor) -> float:
    """The entropy of the tokens' frequencies in this very text, int64 (places,): the mean surprise of somebody who knows these and
    nothing else (Shannon 1948, section 6). Knowing them beforehand is a help that no model has; one that does worse has not read a word.
    """
    share = true.unique(return_counts=True)[1].double() / len(true)
    return float(-(share * share.log()).sum())


def questions(windows: torch.Tensor, tokenizer: PreTrainedTokenizerBase, seed: int = 0) -> Questions:
    """A cloze test of texts int64 (windows, tokens): wherever a word of at least four letters stands that is one token, that word
    and three others of these texts, drawn as often as they occur. Pure chance gets one of four right.

    No questions where the tokenizer does not mark words, or there are fewer than four of them. After Taylor 1953,
    Cloze procedure.
    """
    each = windows.shape[1] - 1  # places of one window: nothing foretells its first token
    texts = [list(tokenizer.convert_ids_to_tokens(window.tolist())) for window in windows]
    places = [each * number + place - 1 for number, tokens in enumerate(texts) for place in word_places(tokens)]
    words = windows[:, 1:].flatten()[places].tolist()
    if len(set(words)) < OPTIONS:
        places = words = []
    random = Random(seed)
    options = torch.tensor([_options(word, words, random) for word in words], dtype=torch.int64).view(-1, OPTIONS)
    answers = (options == torch.tensor(words, dtype=torch.int64)[:, None]).int().argmax(-1)
    return Questions(torch.tensor(places, dtype=torch.int64), options, answers)


def _options(word: int, words: list[int], random: Random) -> list[int]:
    """The word and three others, in any order, so that a tie favours none."""
    options = [word]
    while len(options) < OPTIONS:
        if (other := random.choice(words)) not in options:
            options.append(other)
    random.shuffle(options)
    return options


def word_places(tokens: list[str]) -> list[int]:
    """Where a token, but for the first and the last, is a whole word of enough letters."""
    return [
        place
        for place, (token, after) in enumerate(zip(tokens[1:], tokens[2:]), 1)
        if token.startswith(SPACES) and len(token) > LETTERS and token[1:].isalpha() and not _goes_on(after)
    ]


def _goes_on(token: str) -> bool:
    """Whether a token continues the word before it."""
    return token[:1].isalpha() and token[0] not in BREAKS


def right(asked: Questions, logs: torch.Tensor, first: int = 0) -> torch.Tensor:
    """Which questions about places `first` to first + len(logs) are answered rightly, bool (those questions,): the likeliest option
    of log-probabilities (places, vocabulary) is the true word.
    """
    here = (asked.places >= first) & (asked.places < first + len(logs))
    found = logs[asked.places[here] - first].gather(-1, asked.options[here]).argmax(-1)
    return found == asked.answers[here]
