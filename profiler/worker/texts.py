"""Real English text that every Python carries: its language reference (pydoc_data.topics), or a file of the user's.

The reference is split by topic. One half serves as the prompt of speed runs and as what compression may look at (calibration);
the other is held back, and only ever scored. Topics quote each other whole, so a paragraph belongs to the shortest topic
that has it, and to no other.
"""

import codecs
import re
import zlib
from functools import cache
from pathlib import Path
from pydoc_data.topics import topics

import torch
from transformers import PreTrainedTokenizerBase

WINDOW = 256  # tokens of one held-back text: enough context for words, and few enough for a long vocabulary's logits
LEAST = 16  # tokens that a window needs, to be worth a score
LONG = 80  # characters from which on a paragraph is prose, not a heading
CHARACTERS_A_TOKEN = 8  # more than tokenizers make of prose
BYTES_A_TOKEN = 16  # of a user's file, whatever its language
FIRST_PART = 1 << 16  # bytes of a user's file that are read at least
SOURCE = "Python's language reference, the half that nothing else reads"


def calibration(tokenizer: PreTrainedTokenizerBase, count: int) -> torch.Tensor:
    """Token ids of the first half, int64 (count,); repeated where more are asked for than it has."""
    text, _ = halves()
    ids = tokenizer(text[: count * CHARACTERS_A_TOKEN], add_special_tokens=False)["input_ids"]
    return torch.tensor(ids).repeat(-(-count // len(ids)))[:count]


def held_back(tokenizer: PreTrainedTokenizerBase, count: int, file: str = "", window: int = WINDOW) -> tuple[torch.Tensor, str]:
    """Text to be scored, int64 (windows, tokens of one), and where it comes from, in words.

    As many whole windows as `count` tokens need, or as there are. A window starts with the mark that this tokenizer starts a
    text with, if any. Raises ValueError for a file that is no text, or too short.
    """
    text, source = (read(Path(file), count), Path(file).name) if file else (halves()[1], SOURCE)
    ids = tokenizer(text[: max(count * CHARACTERS_A_TOKEN, FIRST_PART)], add_special_tokens=False)["input_ids"]
    start = _start(tokenizer)
    own = max(min(window, count), LEAST) - len(start)
    whole = min(-(-count // (own + len(start))), len(ids) // own)
    if not whole:
        raise ValueError(f"{source} has only {len(ids)} tokens; score a text of at least {own}, or fewer tokens of it.")
    windows = torch.tensor(ids[: whole * own]).view(whole, own)
    return torch.cat([torch.tensor(start, dtype=torch.int64).expand(whole, -1), windows], dim=1), source


def _start(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The mark that this tokenizer puts before every text; models that were trained with one are lost without it."""
    first = tokenizer("a")["input_ids"][:1]
    return first if first and first[0] == tokenizer.bos_token_id else []


@cache
def halves() -> tuple[str, str]:
    """The prose of the language reference: for calibration, and held back. They share no topic and no paragraph."""
    owners: dict[str, str] = {}
    for name in sorted(topics, key=lambda name: (len(topics[name]), name)):
        for paragraph in re.split(r"\n\s*\n", topics[name]):
            owners.setdefault(" ".join(paragraph.split()), name)
    parts: tuple[list[str], list[str]] = ([], [])
    for paragraph, name in sorted(owners.items(), key=lambda pair: pair[1]):  # stable: the order inside a topic stays
        if _prose(paragraph):
            parts[zlib.crc32(name.encode()) % 2].append(paragraph)
    return "\n\n".join(parts[0]), "\n\n".join(parts[1])


def _prose(paragraph: str) -> bool:
    """Neither heading, grammar nor code."""
    return len(paragraph) >= LONG and paragraph[-1] in ".:" and "::=" not in paragraph and ">>>" not in paragraph


def read(file: Path, count: int) -> str:
    """The first part of a text file, enough for `count` tokens. Raises ValueError, with the remedy, for what is none."""
    limit = max(count * BYTES_A_TOKEN, FIRST_PART)
    try:
        with file.open("rb") as stream:
            data = stream.read(limit)
    except OSError as error:
        raise ValueError(f"The text {file} cannot be read ({error.strerror or error}); name a text file that is there.") from error
    if b"\0" in data:
        raise ValueError(f"{file.name} is not a text in UTF-8; save it as plain text in UTF-8, or name another file.")
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(data, final=len(data) < limit)  # the cut may fall inside a character
    except UnicodeDecodeError as error:
        raise ValueError(f"{file.name} is not in UTF-8 (byte {error.start:,}); save it as plain text in UTF-8.") from error
    if not text.strip():
        raise ValueError(f"{file.name} is empty; name a file with text in it.")
    return text
