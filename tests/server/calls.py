"""Call a served model over gRPC or HTTP, with arrays in and out."""

import http.client
import json
import struct
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

Arrays = dict[str, NDArray[Any]]
UNLIMITED = 2**31 - 1  # bytes in one gRPC message
TIMEOUT_S = 180.0  # a busy machine of two cores


@dataclass(frozen=True)
class Refused(Exception):
    """The server's error, however it was called."""

    status: str  # StatusCode.* over gRPC, the number over HTTP
    message: str


def image_array(*images: bytes) -> NDArray[np.object_]:
    """The `image` tensor; more than one image is a fault that tests want to make."""
    return np.array(images, dtype=np.object_)


def over_grpc(url: str, model: str, inputs: Arrays, **parameters: float) -> Arrays:
    options = [(f"grpc.max_{way}_message_length", UNLIMITED) for way in ("send", "receive")]
    tensors = []
    for name, values in inputs.items():
        tensor = triton.InferInput(name, list(values.shape), _dtype(values))
        tensor.set_data_from_numpy(values)
        tensors.append(tensor)
    with triton.InferenceServerClient(url, channel_args=options) as client:
        try:
            result = client.infer(model, tensors, parameters=parameters, client_timeout=TIMEOUT_S)
        except InferenceServerException as error:
            raise Refused(error.status() or "", error.message() or "") from error
    return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}


def over_http(url: str, model: str, inputs: Arrays, **parameters: float) -> Arrays:
    """By the binary tensor extension of the KServe protocol, which BYTES of images need."""
    parts = {name: _encode(values) for name, values in inputs.items()}
    header = json.dumps(
        {
            "parameters": parameters,
            "inputs": [
                {
                    "name": name,
                    "shape": list(inputs[name].shape),
                    "datatype": _dtype(inputs[name]),
                    "parameters": {"binary_data_size": len(part)},
                }
                for name, part in parts.items()
            ],
        }
    ).encode()
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_S)
    try:
        connection.request(
            "POST",
            f"/v2/models/{model}/infer",
            body=header + b"".join(parts.values()),
            headers={"Inference-Header-Content-Length": str(len(header))},
        )
        response = connection.getresponse()
        body = json.loads(response.read())
    finally:
        connection.close()
    if response.status != 200:
        raise Refused(str(response.status), body["error"])
    return {
        output["name"]: np.array(output.get("data", [])).reshape(output["shape"])
        for output in body["outputs"]
    }


def _dtype(values: NDArray[Any]) -> str:
    return str(np_to_triton_dtype(values.dtype))


def _encode(values: NDArray[Any]) -> bytes:
    if values.dtype == np.object_:
        return b"".join(struct.pack("<I", len(item)) + item for item in values.reshape(-1))
    return values.tobytes()
