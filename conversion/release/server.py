"""Control of a running Triton in explicit mode, over gRPC."""

from collections.abc import Collection, Mapping
from typing import Any

from google.protobuf import json_format
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from peopleseg.client.wire import CHANNEL_ARGS, Request
from peopleseg.releases.admin_key import VARIABLE, read_admin_key
from peopleseg.releases.errors import ControlError

CALL_TIMEOUT_S = 30.0
LOAD_TIMEOUT_S = 1800.0  # an engine that is built while its version loads
_HEADER_PREFIX = "triton-grpc-protocol-"
# Triton takes a model that comes with a file from memory alone; an ensemble has no file of its own.
_IN_MEMORY = {"file:1/keep": b"x"}
_HINTS = {  # by the words of the server's or gRPC's message
    "restricted": f"; give its key with --admin-key or {VARIABLE}",
    "failed to connect": "; start it with `peopleseg serve`, or go without it by --offline",
}
_NOT_THERE = ("StatusCode.NOT_FOUND", "StatusCode.INVALID_ARGUMENT")


def admin_headers(key: str | None = None) -> dict[str, str]:
    """The header that opens a server's restricted calls.

    key: NAME:SECRET, or nothing to take the environment variable PEOPLESEG_ADMIN_KEY. Raises
    ControlError for a key of another form.
    """
    named = read_admin_key(key)
    return {_HEADER_PREFIX + named[0]: named[1]} if named else {}


class ModelControl:
    """Loads and unloads models of one server, and asks what it serves.

    Every method raises ControlError when the server cannot be reached or refuses.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        load_timeout_s: float = LOAD_TIMEOUT_S,
    ) -> None:
        """url: host:port of the gRPC port. headers: of `admin_headers`."""
        self.url = url
        self.load_timeout_s = load_timeout_s
        self._headers = dict(headers or {})
        self._server = InferenceServerClient(url, channel_args=CHANNEL_ARGS)

    def config(self, model: str) -> Any | None:
        """The ModelConfig that the server uses; None for a model that it does not serve."""
        try:
            response = self._server.get_model_config(
                model, headers=self._headers, client_timeout=CALL_TIMEOUT_S
            )
        except InferenceServerException as error:
            if error.status() in _NOT_THERE:
                return None
            raise self._error("asking for the config of", model, error) from error
        return response.config

    def loaded(self) -> dict[str, set[int]]:
        """Versions that are ready, by model; models in memory only are not among them."""
        try:
            index = self._server.get_model_repository_index(
                headers=self._headers, client_timeout=CALL_TIMEOUT_S
            )
        except InferenceServerException as error:
            raise self._error("asking for", "its models", error) from error
        loaded: dict[str, set[int]] = {}
        for entry in index.models:
            if entry.state == "READY":
                loaded.setdefault(entry.name, set()).add(int(entry.version))
        return loaded

    def load_versions(self, config: Any, versions: Collection[int]) -> None:
        """Have exactly these versions of a step loaded, whatever its config on disk says.

        config: the step's ModelConfig as in the file that the server reads. Versions that are
        loaded and stay are then not touched; were the config another one, as is the one that the
        server answers with, completed, they would be loaded again. Raises ControlError, with the
        versions of before still loaded, when one does not load.
        """
        override = type(config)()
        override.CopyFrom(config)
        override.version_policy.Clear()
        override.version_policy.specific.versions.extend(sorted(versions))
        self._load(config.name, config=_json(override))
        missing = set(versions) - self.loaded().get(config.name, set())
        if missing:
            numbers = ", ".join(map(str, sorted(missing)))
            raise ControlError(
                f"{self.url} did not load version {numbers} of {config.name}; does it use the "
                "model repository named by --model-repository?"
            )

    def load_in_memory(self, config: Any) -> None:
        """Serve an ensemble that is not in the model repository, by its ModelConfig."""
        self._load(config.name, config=_json(config), files=_IN_MEMORY)

    def unload(self, model: str) -> None:
        """Unload a model, but not the steps that it uses; nothing if it is not loaded."""
        try:
            self._server.unload_model(
                model, headers=self._headers, client_timeout=self.load_timeout_s
            )
        except InferenceServerException as error:
            raise self._error("unloading", model, error) from error

    def ask(self, request: Request, timeout_s: float = CALL_TIMEOUT_S) -> dict[str, Any]:
        """The response to a request: arrays by name."""
        try:
            result = self._server.infer(
                **request._asdict(), headers=self._headers, client_timeout=timeout_s
            )
        except InferenceServerException as error:
            raise self._error("asking", request.model_name, error) from error
        return {output.name(): result.as_numpy(output.name()) for output in request.outputs}

    def close(self) -> None:
        self._server.close()

    def __enter__(self) -> "ModelControl":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self, model: str, **override: Any) -> None:
        try:
            self._server.load_model(
                model, headers=self._headers, client_timeout=self.load_timeout_s, **override
            )
        except InferenceServerException as error:
            raise self._error("loading", model, error) from error

    def _error(self, what: str, model: str, error: InferenceServerException) -> ControlError:
        message = str(error.message()).strip()
        hint = next((hint for words, hint in _HINTS.items() if words in message), "")
        return ControlError(f"{self.url}, {what} {model}: {message}{hint}")


def _json(config: Any) -> str:
    return json_format.MessageToJson(config, preserving_proto_field_name=True)
