"""From what a person types in the one model field to a ModelSpec, without torch.

    smollm2-135m            a name of the catalogue: real weights where a package carries them, else random ones
    random:NAME             the same shape with random weights; NAME may be anything below, too
    owner/name              a Hugging Face hub id
    path/to/folder          config.json + safetensors
    path/to/file.gguf       a GGUF file

Every refusal is a ValueError of one sentence that says what to do.
"""

import json
from pathlib import Path
from typing import Any

from profiler.catalog import gguf_header, models
from profiler.catalog.config import from_hf_config
from profiler.spec.model import ModelSpec

PICKLED = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".pickle")


def resolve(text: str) -> ModelSpec:
    """The model that `text` names."""
    text = text.strip()
    if not text:
        raise ValueError(f"No model was named; try {models.DEFAULT}.")
    if text.startswith("random:"):
        return _random(text)
    row = models.find(text)
    if row:
        return row.spec()
    path = Path(text).expanduser()
    if path.suffix.lower() in PICKLED:
        raise ValueError(
            f"{path.name} is a pickled checkpoint, which can run code when opened, so it is never loaded; "
            "convert it to safetensors and name its folder."
        )
    if path.is_dir():
        return _folder(path)
    if path.is_file() or path.suffix.lower() == ".gguf":
        return _file(path)
    if text.count("/") == 1 and not text.startswith((".", "/", "~")):
        return _hub(text)
    raise ValueError(_unknown(text))


def _unknown(text: str) -> str:
    near = models.nearest(text)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`python -m profiler models` lists the catalogue."
    return f"No model is called {text!r}, and there is no such folder or file. {hint}"


def _random(text: str) -> ModelSpec:
    inner = text.removeprefix("random:").strip()
    row = models.find(inner)
    if row:
        return row.spec(random=True)
    known = _hub(inner) if inner.count("/") == 1 and not Path(inner).exists() else _shape(Path(inner).expanduser(), inner)
    return known.model_copy(update={"origin": "random", "location": "", "reference": f"random:{inner}"})


def _shape(path: Path, text: str) -> ModelSpec:
    """A model's shape alone: weights need not be there."""
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        raise ValueError(_unknown(text))
    return from_hf_config(read_config(file), name=file.parent.name, reference=text, origin="random")


def _folder(path: Path) -> ModelSpec:
    file = path / "config.json"
    if not file.is_file():
        raise ValueError(
            f"The folder {path} has no config.json, so it holds no model; name the folder that holds config.json and *.safetensors."
        )
    if not list(path.glob("*.safetensors")):
        pickled = next((p.name for p in path.iterdir() if p.suffix.lower() in PICKLED), None)
        what = f"only pickled weights ({pickled}), which can run code when opened" if pickled else "no *.safetensors weights"
        raise ValueError(f"The folder {path} has {what}; convert them to safetensors, or measure the shape with random:{path}.")
    whole = path.resolve()
    return from_hf_config(read_config(file), name=whole.name, reference=str(whole), origin="folder", location=str(whole))


def _file(path: Path) -> ModelSpec:
    if not path.is_file():
        raise ValueError(f"There is no file {path}.")
    if path.suffix.lower() != ".gguf":
        raise ValueError(
            f"{path.name} is not a model file that can be opened; name a .gguf file or a folder with config.json and *.safetensors."
        )
    whole = path.resolve()
    return from_hf_config(gguf_header.config(whole), name=whole.stem, reference=str(whole), origin="gguf", location=str(whole))


def _hub(id: str) -> ModelSpec:
    from profiler.catalog.hub import config_file  # heavy: a quarter of a second of imports that only hub models need

    file = config_file(id)
    return from_hf_config(read_config(file), name=id.split("/")[1], reference=id, origin="hub", location=id)


def read_config(file: Path) -> dict[str, Any]:
    """A config.json as a dictionary."""
    try:
        config = json.loads(file.read_text("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file} is not valid JSON ({error}); fetch the model again.") from None
    if not isinstance(config, dict):
        raise ValueError(f"{file} holds no configuration (a JSON object is expected).")
    return config
