"""The Hugging Face hub: where a model's configuration is, or why it cannot be had."""

from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

PATIENCE = 10.0  # seconds


def config_file(id: str) -> Path:
    """The config.json of a hub model, from the cache or the hub. Raises ValueError of one sentence that says what to do."""
    again = "random:NAME measures the shape of any catalogue model without a network (`python -m profiler models`)"
    try:
        file = try_to_load_from_cache(id, "config.json")
        if not isinstance(file, str):
            HfApi().model_info(id, timeout=PATIENCE)  # the download itself would try for half a minute to find a network
            file = hf_hub_download(id, "config.json")
    except GatedRepoError:
        raise ValueError(f"{id} is gated: accept its licence on the hub and log in with `hf auth login`; or {again}.") from None
    except (RepositoryNotFoundError, HFValidationError):
        raise ValueError(f"The hub knows no model {id} (or it is private); check the spelling; {again}.") from None
    except EntryNotFoundError:
        raise ValueError(f"{id} has no config.json, so transformers cannot build it; name a model in the transformers format.") from None
    except HfHubHTTPError as error:
        raise ValueError(f"The hub refused {id} ({type(error).__name__}); try later; {again}.") from None
    except Exception as error:  # no connection: the class depends on the HTTP client that the hub's library happens to use
        raise ValueError(
            f"{id} is not in the cache and the hub cannot be reached ({type(error).__name__}); check the network; {again}."
        ) from None
    return Path(file)
