"""The texts: two halves of the language reference, and a file of the user's."""

import pytest

from profiler.spec.work import Generate
from profiler.worker.prompt import prompt_ids
from profiler.worker.texts import WINDOW, calibration, halves, held_back, read
from tests.worker.reading import tokenizer


def test_the_halves_share_no_paragraph():
    """What is held back is in no text that anything else reads, and both halves are long enough to be of use."""
    ours, held = (half.split("\n\n") for half in halves())

    assert not set(ours) & set(held)
    assert len(set(ours)) == len(ours)
    assert min(len(" ".join(ours)), len(" ".join(held))) > 50_000


def test_the_prompt_is_none_of_the_held_back_text():
    """Speed runs read the first half, from its beginning, each sequence of a batch another part of it."""
    read = tokenizer()
    ids = prompt_ids(Generate(batch=2, prompt_tokens=50), len(read), read)

    assert ids.shape == (2, 50)
    assert halves()[0].startswith(read.decode(ids.flatten()))


def test_calibration_is_as_long_as_asked_for():
    """More tokens than the half has: it starts over."""
    read = tokenizer()
    whole = len(read(halves()[0])["input_ids"])
    ids = calibration(read, whole + 10)

    assert ids.shape == (whole + 10,)
    assert ids[-10:].tolist() == ids[:10].tolist()


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 16)), (100, (1, 100)), (256, (1, WINDOW)), (257, (2, WINDOW)), (1024, (4, WINDOW))])
def test_windows_are_whole(count, shape):
    """A count is rounded up to whole windows; a small one is a window of its own."""
    windows, source = held_back(tokenizer(), count)

    assert windows.shape == shape
    assert "language reference" in source


def test_windows_follow_each_other():
    """The windows, one after the other, are the text; asked for too many, there are as many as it fills."""
    read = tokenizer()
    windows, _ = held_back(read, 1_000_000)

    assert halves()[1].startswith(read.decode(windows.flatten()))
    assert windows.numel() > len(read(halves()[1])["input_ids"]) - WINDOW


def test_a_window_starts_with_the_tokenizers_mark():
    """A tokenizer that begins every text with a mark begins each window with it, and the text goes on behind it."""
    plain, marking = tokenizer(), tokenizer()
    marking.bos_token = "<s>"
    marking.backend_tokenizer.post_processor = _marked()
    windows, _ = held_back(marking, 512)

    assert windows.shape == (2, WINDOW)
    assert windows[:, 0].tolist() == [0, 0]
    assert windows[:, 1:].flatten().tolist() == held_back(plain, 512)[0].flatten()[: 2 * (WINDOW - 1)].tolist()


def _marked():
    from tokenizers.processors import TemplateProcessing

    return TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])


def test_a_file_of_the_users_is_read(tmp_path):
    """UTF-8 with or without a mark at its beginning; its name is the source."""
    file = tmp_path / "story.txt"
    file.write_bytes(b"\xef\xbb\xbf" + "Es war einmal ein König. ".encode() * 50)
    read = tokenizer()
    windows, source = held_back(read, 100, str(file))

    assert read.decode(windows[0]).startswith("Es war einmal")
    assert source == "story.txt"


def test_only_the_first_part_of_a_large_file_is_read(tmp_path):
    """A file of many megabytes is cut, and the cut may fall inside a character."""
    file = tmp_path / "large.txt"
    file.write_text("x" + "é" * 3_000_000, "utf-8")

    assert 10_000 < len(read(file, 256)) < 100_000


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "name a text file"),
        (b"", "is empty"),
        (b" \n\t ", "is empty"),
        (b"PK\x03\x04\x00\x00" * 100, "not a text"),
        ("König ".encode("latin-1") * 100, "not in UTF-8"),
        ("König ".encode("utf-16") * 100, "not a text"),
        (b"Too short.", "has only"),
    ],
)
def test_a_file_that_cannot_be_scored_says_why(tmp_path, content, why):
    """Missing, empty, binary, in another encoding or too short: one sentence with the remedy."""
    file = tmp_path / "text.txt"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ValueError, match=why) as told:
        held_back(tokenizer(), 100, str(file))
    assert "\n" not in str(told.value)


def test_a_folder_is_no_text(tmp_path):
    """A folder in place of the file is told as what cannot be read."""
    with pytest.raises(ValueError, match="cannot be read"):
        held_back(tokenizer(), 100, str(tmp_path))
