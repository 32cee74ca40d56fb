"""Where things are kept: the store in the user's data folder, models in the cache folder.

NEED_FOR_SPEED_HOME puts both into one folder of the user's choice (tests use it, too).
"""

import os
from pathlib import Path

import platformdirs

NAME = "need-for-speed"


def data_folder() -> Path:
    """Runs and their events."""
    return _made(_home("data") or platformdirs.user_data_path(NAME))


def cache_folder() -> Path:
    """Models fetched and converted: can be made again."""
    return _made(_home("cache") or platformdirs.user_cache_path(NAME))


def _home(part: str) -> Path | None:
    home = os.environ.get("NEED_FOR_SPEED_HOME")
    return Path(home).expanduser() / part if home else None


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
