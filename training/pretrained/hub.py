"""A weights file of the Hugging Face hub: kept on this machine, or downloaded once."""

import os
import urllib.request
from urllib.error import HTTPError

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

DEFAULT_HUB = "https://huggingface.co"
RESPONSE_TIMEOUT_S = 5.0
_FILE = "model.safetensors"


class NotFromHub(OSError):
    """The hub does not give a file; the message is why."""

    def __init__(self, hub: str, file: str, reason: Exception) -> None:
        super().__init__(str(reason))
        self.hub, self.file = hub, file


def kept_or_downloaded(repository: str, revision: str | None) -> str:
    """The path of a repository's weights. Raises NotFromHub, within seconds when offline.

    HF_ENDPOINT names a mirror of the hub.
    """
    try:
        return hf_hub_download(repository, _FILE, revision=revision, local_files_only=True)
    except LocalEntryNotFoundError:
        hub = os.environ.get("HF_ENDPOINT", DEFAULT_HUB)
    try:
        _require_response(hub)  # the download itself would retry for half a minute
        return hf_hub_download(repository, _FILE, revision=revision, endpoint=hub)
    except (HfHubHTTPError, OSError) as error:
        raise NotFromHub(hub, f"{repository}/{_FILE}", error) from error


def _require_response(url: str) -> None:
    """Raises OSError unless something answers, be it with an error."""
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, method="HEAD"), timeout=RESPONSE_TIMEOUT_S
        ):
            pass
    except HTTPError as error:
        error.close()
