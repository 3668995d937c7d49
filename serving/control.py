"""A Triton on this machine, asked and told over HTTP what it is kept alive by.

Over HTTP because that needs nothing beside the standard library in whatever process does it, and
stays plain where gRPC has TLS.
"""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tritonclient.utils import np_to_triton_dtype, serialize_byte_tensor

from serving.errors import NoAnswer

CALL_TIMEOUT_S = 5.0
_BINARY = "Inference-Header-Content-Length"  # of a request whose tensors follow its JSON as bytes
# Not the system's proxies: the server is on this machine.
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Version(NamedTuple):
    """One version of a model."""

    model: str
    number: int

    def __str__(self) -> str:
        return f"{self.model} {self.number}"


class Control:
    """Calls of one server. Each raises NoAnswer, which says why, where no good answer comes."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        """url: http://host:port. headers: that open restricted calls."""
        self.url = url
        self._headers = dict(headers)

    def is_live(self, timeout_s: float) -> bool:
        return is_there(f"{self.url}/v2/health/live", timeout_s)

    def is_ready(self, model: str) -> bool:
        return is_there(f"{self.url}/v2/models/{model}/ready")

    def ready(self) -> set[Version]:
        """The versions of models that are ready."""
        index = self._json("/v2/repository/index", b'{"ready": true}')
        return {
            Version(one["name"], int(one["version"]))
            for one in index
            if one.get("state") == "READY"
        }

    def instances(self, model: str) -> int:
        """How many instances each version of a model has."""
        groups = self._json(f"/v2/models/{model}/config").get("instance_group", [])
        return sum(group["count"] * max(1, len(group.get("gpus", ()))) for group in groups)

    def answered(self, model: str) -> int:
        """How many requests all versions of a model have answered well."""
        versions = self._json(f"/v2/models/{model}/stats")["model_stats"]
        return sum(int(one["inference_stats"]["success"]["count"]) for one in versions)

    def load(self, model: str, timeout_s: float) -> None:
        self._call(f"/v2/repository/models/{model}/load", b"", timeout_s)

    def unload(self, model: str, timeout_s: float) -> None:
        """Let go of a model, but not of what it is made of."""
        self._call(f"/v2/repository/models/{model}/unload", b"", timeout_s)

    def ask(self, model: str, tensors: Mapping[str, NDArray[Any]], timeout_s: float) -> None:
        """Have a model infer. What it answers is not looked at."""
        sent = {name: _encoded(values) for name, values in tensors.items()}
        inputs = [
            {
                "name": name,
                "shape": tensors[name].shape,
                "datatype": np_to_triton_dtype(tensors[name].dtype),
                "parameters": {"binary_data_size": len(data)},
            }
            for name, data in sent.items()
        ]
        head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
        body = b"".join([head, *sent.values()])
        self._call(f"/v2/models/{model}/infer", body, timeout_s, {_BINARY: str(len(head))})

    def _json(self, path: str, body: bytes | None = None) -> Any:
        return json.loads(self._call(path, body, CALL_TIMEOUT_S))

    def _call(
        self, path: str, body: bytes | None, timeout_s: float, headers: Mapping[str, str] = {}
    ) -> bytes:
        request = urllib.request.Request(self.url + path, body, {**self._headers, **headers})
        try:
            with _http.open(request, timeout=timeout_s) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            raise NoAnswer(_reason(error)) from error
        except TimeoutError as error:
            raise NoAnswer(f"no answer within {timeout_s:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            if isinstance(getattr(error, "reason", None), TimeoutError):
                raise NoAnswer(f"no connection within {timeout_s:g} s") from error
            raise NoAnswer(f"the server cannot be reached: {error or repr(error)}") from error


def is_there(url: str, timeout_s: float = CALL_TIMEOUT_S) -> bool:
    """Whether what is asked for is there, at a server of HTTP."""
    try:
        with _http.open(url, timeout=timeout_s) as response:
            return bool(response.status == 200)
    except (OSError, http.client.HTTPException):  # nobody there, or not a server of HTTP
        return False


def reachable(host: str) -> str:
    """The address to call a server at that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)


def _encoded(values: NDArray[Any]) -> bytes:
    if values.dtype == np.object_:
        return bytes(serialize_byte_tensor(values).item())
    return values.tobytes()


def _reason(error: urllib.error.HTTPError) -> str:
    """What Triton says of a refusal."""
    text = error.read().decode(errors="replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text.strip() or f"HTTP {error.code}"
