"""llama.cpp's own server, in a process of its own: it answers several requests at once (continuous batching).

    python -m profiler.worker.server < settings (one line of JSON)

It tells its address in one line, or one sentence why there is none, and ends when its standard input closes. Files made here have no
tokenizer, and the server insists on one: it gets placeholders (token 17 reads "t17") and is asked in token ids.
"""

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
from gguf import GGUFReader, GGUFValueType, GGUFWriter, Keys

from profiler.worker.channel import Channel, leash, take_output

MISSING = "llama.cpp's server is not installed; pip install xllamacpp, or give the address of a server that runs already."
HANDLERS = 256  # threads that hold connections, each one answer: what is beyond them waits to be accepted


@dataclass(frozen=True)
class Settings:
    """What the server is started with."""

    file: str
    slots: int  # answers that are written at once
    tokens: int  # of one request, prompt and answer
    threads: int
    cache: int  # number of ggml's type of keys and values
    flash: int  # -1: as llama.cpp thinks best, 0: off, 1: on
    key: str = field(default_factory=lambda: secrets.token_hex(16))  # only who knows it is answered


@contextmanager
def started(settings: Settings, log: Path) -> Iterator[str]:
    """The address of a server that is up; it ends with the block, or with this process. Raises ValueError where it cannot start."""
    command, pipe = [sys.executable, "-m", "profiler.worker.server"], subprocess.PIPE
    free = os.environ | {"OMP_PROC_BIND": "false"}  # its threads are llama.cpp's own
    with log.open("w") as complaints:
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=complaints, env=free, text=True, encoding="utf-8")
    assert process.stdin
    assert process.stdout
    try:
        process.stdin.write(json.dumps(asdict(settings)) + "\n")
        process.stdin.flush()  # and stays open: it is the leash
        said = process.stdout.readline().strip()
        if not said.startswith("http"):
            raise ValueError(said or f"llama.cpp's server ended before it was up ({_last(log)}); choose a smaller model or fewer slots.")
        yield said
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def refuse_missing() -> None:
    """Raise ValueError where the package is not there."""
    if find_spec("xllamacpp") is None:
        raise ValueError(MISSING)


def with_placeholders(file: Path, target: Path) -> Path:
    """A copy of a GGUF file whose vocabulary is placeholders; `target`, which is overwritten."""
    reader = GGUFReader(file)
    kind = _value(reader, Keys.General.ARCHITECTURE)
    writer = GGUFWriter(target, kind)
    for known in reader.fields.values():
        if not known.name.startswith(("GGUF.", "tokenizer.", Keys.General.ARCHITECTURE)):
            inner = known.types[-1] if known.types[0] == GGUFValueType.ARRAY else None
            writer.add_key_value(known.name, known.contents(), known.types[0], sub_type=inner)
    rows = _value(reader, Keys.LLM.VOCAB_SIZE.format(arch=kind))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([f"t{row}" for row in range(rows)])
    writer.add_token_types([1] * rows)
    writer.add_token_merges(["t 0"])  # there must be one
    for tensor in reader.tensors:
        writer.add_tensor_info(tensor.name, tensor.data.shape, tensor.data.dtype, tensor.data.nbytes, tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in reader.tensors:
        writer.write_tensor_data(tensor.data)
    writer.close()
    return target


def _value(reader: GGUFReader, name: str) -> Any:
    found = reader.get_field(name)
    if found is None:
        raise ValueError(f"The GGUF file lacks {name}; delete it from the cache, and it is made anew.")
    return found.contents()


def _last(log: Path) -> str:
    """The server's last words."""
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"


def main(channel: Channel, settings: Settings) -> None:
    """Serve until standard input closes. The address is the first line."""
    import xllamacpp  # heavy: optional

    leash()
    wanted = xllamacpp.CommonParams()
    wanted.model.path = settings.file
    wanted.hostnames, wanted.port, wanted.api_keys = ["127.0.0.1"], 0, [settings.key]
    wanted.n_parallel, wanted.n_ctx = settings.slots, settings.slots * settings.tokens
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = settings.threads
    wanted.cache_type_k = wanted.cache_type_v = xllamacpp.ggml_type(settings.cache)
    wanted.flash_attn_type = xllamacpp.llama_flash_attn_type(settings.flash)
    wanted.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE  # weights in memory of its own before the first request
    wanted.n_threads_http, wanted.fit_params, wanted.cache_prompt, wanted.ui = HANDLERS, False, False, False
    wanted.verbosity = 1  # errors and warnings
    try:
        server = xllamacpp.Server(wanted)
    except (RuntimeError, ValueError) as error:
        channel.line(f"llama.cpp's server did not start: {(str(error).strip() or 'it gave no reason').splitlines()[0]}")
        return
    channel.line(server.listening_address)
    threading.Event().wait()  # the leash ends it


if __name__ == "__main__":
    OUT = take_output()
    WANTED = Settings(**json.loads(sys.stdin.readline()))
    if hasattr(PROCESS := psutil.Process(), "cpu_affinity"):  # macOS has none
        PROCESS.cpu_affinity([])  # who started this may be bound to one core
    main(OUT, WANTED)
    os._exit(0)
