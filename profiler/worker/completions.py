"""One streaming request to a server that speaks OpenAI's protocol, timed token by token. Whatever goes wrong is an outcome, not an error.

Not every server has every part of the protocol: `talk` finds out what this one takes.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import httpx

from profiler.record.events import Request

Prompt = str | list[int]
Outcome = Literal["answered", "refused", "stalled", "error"]
REFUSALS = (429, 503)  # too many requests, unavailable: a server that says so, instead of letting everybody wait
NO_SUCH_PATH, BAD_FORM = (404, 405, 501), (400, 422)
MALFORMED = (ValueError, TypeError, AttributeError, KeyError)  # what a stream of another form than the protocol's leads to
WORDS = 120  # characters of what a server says that are kept
EXTRAS = {"ignore_eos": True, "stream_options": {"include_usage": True}}  # full answers, and their count of tokens


@dataclass(frozen=True)
class Talk:
    """How a server is spoken to."""

    url: str
    served: str  # the model's name there
    new_tokens: int
    path: str = "/completions"
    extras: bool = True  # it takes what is not in OpenAI's own protocol
    key: str = ""
    patience: float = 30.0  # seconds without a token after which an answer is given up

    @property
    def headers(self) -> dict[str, str]:
        """Of every request."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def body(self, prompt: Prompt) -> dict[str, Any]:
        """The request."""
        asked = {"messages": [{"role": "user", "content": prompt}]} if "chat" in self.path else {"prompt": prompt}
        plain = {"model": self.served, "max_tokens": self.new_tokens, "temperature": 0, "stream": True}
        return plain | asked | (EXTRAS if self.extras else {})


class FaultError(Exception):
    """An answer with an error's status; `words` are the server's own."""

    def __init__(self, status: int, words: str):
        super().__init__(f"{status}: {words}" if words else str(status))
        self.status = status


def client(patience: float) -> httpx.AsyncClient:
    """Connections without a limit of their number, and without proxies or redirects: what is sent goes to the address, or nowhere."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    return httpx.AsyncClient(timeout=httpx.Timeout(None, connect=patience), limits=limits, trust_env=False, follow_redirects=False)


async def first_model(http: httpx.AsyncClient, url: str, key: str = "") -> str:
    """The name of the first model that the server lists; empty where it lists none. Raises ValueError where nobody answers."""
    try:
        told = await http.get(f"{url}/models", headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=10.0)
        return str(told.json()["data"][0]["id"])
    except httpx.TransportError as error:
        raise ValueError(
            f"Nothing answers at {url} ({_words(error)}); start the server, wait until it is up, or correct the address."
        ) from error
    except (ValueError, KeyError, IndexError, TypeError):
        return ""


async def talk(http: httpx.AsyncClient, wanted: Talk, prompt: Prompt) -> Talk:
    """The form of request that this server takes, tried one after another. Raises ValueError, with its own words, where there is none.

    A finished try is also the server's warm-up.
    """
    words = ""
    for path in ("/completions", "/chat/completions"):
        for extras in (True, False):
            form = replace(wanted, path=path, extras=extras)
            try:
                async with asyncio.timeout(wanted.patience):
                    if [None async for _ in _pieces(http, form, prompt)]:
                        return form
                words = words or "it wrote nothing"
            except FaultError as error:
                words = words if error.status in NO_SUCH_PATH and words else str(error)
                if error.status in NO_SUCH_PATH:
                    break
                if error.status not in BAD_FORM:
                    raise ValueError(f"The server at {wanted.url} answers no request: {words}.") from error
            except TimeoutError as error:
                raise ValueError(
                    f"The server at {wanted.url} wrote no whole answer within {wanted.patience:g} s; have more patience, or ask for less."
                ) from error
            except (httpx.HTTPError, *MALFORMED) as error:
                raise ValueError(f"The server at {wanted.url} broke off its first answer ({_words(error)}).") from error
    raise ValueError(f"The server at {wanted.url} answers neither completions nor chat completions: {words}.")


async def ask(http: httpx.AsyncClient, form: Talk, prompt: Prompt, due: float, origin: float) -> Request:
    """One request and what became of it. `origin` is the first arrival on the monotonic clock, `due` the seconds after it."""
    answer = Answer(due, origin)
    try:
        async with asyncio.timeout(form.patience) as limit:
            async for tokens in _pieces(http, form, prompt):
                answer.add(tokens)
                limit.reschedule(asyncio.get_running_loop().time() + form.patience)
    except (asyncio.CancelledError, TimeoutError, FaultError, httpx.HTTPError, *MALFORMED) as error:
        return answer.told(*_outcome(error, form))
    return answer.told("answered", "") if answer.times else answer.told("error", "the answer was empty")


def _outcome(error: BaseException, form: Talk) -> tuple[Outcome, str]:
    """What became of a request that was not answered to the end, and why."""
    if isinstance(error, asyncio.CancelledError):
        return "stalled", f"not over {form.patience:g} s after the last arrival"
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "stalled", f"no token for {form.patience:g} s"
    if isinstance(error, FaultError):
        return "refused" if error.status in REFUSALS else "error", str(error)
    if isinstance(error, httpx.HTTPError):
        return "refused" if isinstance(error, httpx.ConnectError) else "error", _words(error)
    return "error", f"an answer that cannot be read: {_words(error)}"


class Answer:
    """What has come of one answer."""

    def __init__(self, due: float, origin: float):
        self.due, self.origin = due, origin
        self.times: list[float] = []  # of the pieces, seconds after the first arrival
        self.tokens = 0  # as the server counts them, once it has said so

    def add(self, tokens: int | None) -> None:
        """A piece of text (None), or the server's count."""
        if tokens is None:
            self.times.append(time.monotonic() - self.origin)
        else:
            self.tokens = tokens

    def told(self, outcome: Outcome, note: str) -> Request:
        """The whole as a value."""
        gaps = tuple(after - before for before, after in zip(self.times, self.times[1:]))
        first = self.times[0] if self.times else None
        tokens = self.tokens or len(self.times)
        return Request(due=self.due, first=first, gaps=gaps, tokens=tokens, outcome=outcome, note=note)


async def _pieces(http: httpx.AsyncClient, form: Talk, prompt: Prompt) -> AsyncIterator[int | None]:
    """None for each piece of text, a number where the server tells how many tokens it wrote.

    Raises FaultError for an error's status or an error within the stream, and httpx's errors.
    """
    whole = False
    async with http.stream("POST", f"{form.url}{form.path}", json=form.body(prompt), headers=form.headers) as response:
        if response.status_code != 200:
            raise FaultError(response.status_code, _said(await response.aread()))
        async for line in response.aiter_lines():
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                return
            if not line.startswith("data:") or not data:
                continue
            told = json.loads(data)
            if not isinstance(told, dict):
                raise ValueError(data[:WORDS])
            if "error" in told:
                raise FaultError(500, _said(data.encode()))
            if any(map(_text, told.get("choices") or [])):
                yield None
            whole = whole or any(choice.get("finish_reason") for choice in told.get("choices") or [])
            if (usage := told.get("usage")) and usage.get("completion_tokens"):
                yield int(usage["completion_tokens"])
    if not whole:
        raise httpx.RemoteProtocolError("the stream broke off")


def _text(choice: dict[str, Any]) -> str:
    """What a piece adds, in any of the forms that servers use."""
    delta = choice.get("delta") or {}
    return choice.get("text") or delta.get("content") or delta.get("reasoning_content") or delta.get("reasoning") or ""


def _said(body: bytes) -> str:
    """A server's own words about an error, shortened: of JSON the message."""
    text = body.decode("utf-8", errors="replace").strip()
    try:
        told = json.loads(text)
        fault = told.get("error", told) if isinstance(told, dict) else told
        text = str(fault.get("message") or fault.get("detail") or fault) if isinstance(fault, dict) else str(fault)
    except ValueError:
        pass
    return " ".join(text.split())[:WORDS]


def _words(error: BaseException) -> str:
    """The first line of an error."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:WORDS]
