"""Tokens as they read, piece by piece."""

from transformers import PreTrainedTokenizerBase

UNFINISHED = "\ufffd"  # how a tokenizer writes the first bytes of a character whose last ones are not there yet


class Speech:
    """Tokens → text in pieces that, joined, are the text of all tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.tokenizer = tokenizer
        self.ids: list[int] = []
        self.told = ""

    def more(self, ids: list[int]) -> str:
        """What these tokens add to the text, as far as its characters are whole."""
        self.ids += ids
        return self._tell(self._text().rstrip(UNFINISHED))

    def rest(self) -> str:
        """What is left when no more tokens come."""
        return self._tell(self._text())

    def _text(self) -> str:
        return str(self.tokenizer.decode(self.ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _tell(self, text: str) -> str:
        if not text.startswith(self.told):
            return ""  # a character that is not whole yet changes what was before it; the next tokens will tell
        piece, self.told = text[len(self.told) :], text
        return piece
