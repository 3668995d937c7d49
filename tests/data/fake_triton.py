"""A gRPC server within the test that speaks Triton's protocol, so that clients are tested whole.

    with FakeTriton(one_person) as server:
        SegmentationClient(server.grpc_url)

Any `answer(model_name, inputs)` will do: input tensors by name to output tensors by name, or it
raises Refusal.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import (
    deserialize_bytes_tensor,
    np_to_triton_dtype,
    serialize_byte_tensor,
    triton_to_np_dtype,
)

from peopleseg.errors import InvalidInput
from peopleseg.pixels.images import decode_image
from peopleseg.pixels.masks import encode_rle, paste_mask
from peopleseg.systems.people.contract import MASK_SIZE_HW

Arrays = dict[str, NDArray[Any]]
Response = Callable[[str, Arrays], Arrays]


class Refusal(Exception):
    """The status and message that the server ends a request with."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Answers at `grpc_url` while it is a context; `ready` is what it says of its models."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self.ready = True
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._server = grpc.server(ThreadPoolExecutor(4), options=unlimited)
        self.grpc_url = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)

    def __enter__(self) -> "FakeTriton":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=None).wait()

    def ModelReady(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=self.ready)

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        try:
            outputs = self.response(request.model_name, _inputs(request))
            if "min_score" in request.parameters:
                outputs = _certain(outputs, request.parameters["min_score"].double_param)
        except Refusal as refusal:
            context.abort(refusal.code, str(refusal))
        return _response({tensor.name: outputs[tensor.name] for tensor in request.outputs})


def one_person(model_name: str, inputs: Arrays) -> Arrays:
    """The left half of the image is a person, or each box is; refuses what the real steps do."""
    try:
        image = decode_image(inputs["image"].item())
    except InvalidInput as error:
        message = f"in ensemble '{model_name}', preprocess: {error}"
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, message) from error
    height, width = image.shape[:2]
    boxes = inputs.get("boxes", np.array([[0, 0, max(1, width // 2), height]], dtype=np.float32))
    masks = np.full((len(boxes), *MASK_SIZE_HW), 255, dtype=np.uint8)
    if model_name == "people_foreground":
        return {"foreground": paste_mask(masks[0], boxes[0], (height, width)) * 255}
    pasted = [
        encode_rle(paste_mask(m, b, (height, width))) for m, b in zip(masks, boxes, strict=True)
    ]
    rles = np.array([json.dumps(rle).encode() for rle in pasted], dtype=np.object_)
    scores = np.full(len(boxes), 0.875, dtype=np.float32)
    return {"boxes": boxes, "scores": scores, "masks": masks, "rles": rles}


def _certain(outputs: Arrays, min_score: float) -> Arrays:
    chosen = outputs["scores"] >= min_score
    return {name: values[chosen] for name, values in outputs.items()}


def _inputs(request: Any) -> Arrays:
    inputs = {}
    for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
        if tensor.datatype == "BYTES":
            values = deserialize_bytes_tensor(raw)
        else:
            values = np.frombuffer(raw, dtype=triton_to_np_dtype(tensor.datatype))
        inputs[tensor.name] = values.reshape(tensor.shape)
    return inputs


def _response(outputs: Arrays) -> Any:
    response = service_pb2.ModelInferResponse()
    for name, values in outputs.items():
        datatype = np_to_triton_dtype(values.dtype)
        response.outputs.add(name=name, datatype=datatype, shape=values.shape)
        raw = serialize_byte_tensor(values) if datatype == "BYTES" else values
        if datatype == "BYTES":
            response.raw_output_contents.append(raw.item() if raw.size else b"")
        else:
            response.raw_output_contents.append(np.ascontiguousarray(values).tobytes())
    return response
