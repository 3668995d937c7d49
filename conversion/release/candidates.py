"""Ensembles that exist in a server's memory only: candidates, and the one that swaps the others.

A load of an ensemble that does not come up takes down the one that serves under its name. So a new
wiring is first loaded under another name, where it can be asked and costs nobody anything. And
loading one ensemble loads every changed ensemble that it is made of, all or none, in one call: so
the one that swaps is made of all that change. Neither leaves a trace when it is unloaded.
"""

from collections.abc import Mapping
from typing import Any

from tritonclient.grpc import model_config_pb2

from peopleseg.client.wire import Request, request_of
from peopleseg.repository.triton_config import parse_config
from peopleseg.systems.known import ENSEMBLES

SWAP = "peopleseg_release_swap"


def candidate_name(ensemble: str) -> str:
    return f"{ensemble}_candidate"


IN_MEMORY = (SWAP, *(candidate_name(ensemble) for ensemble in ENSEMBLES))


def candidate(config_text: str) -> Any:
    """The ModelConfig of an ensemble's candidate."""
    config = parse_config(config_text)
    config.name = candidate_name(config.name)
    return config


def request_for(ensemble: str, image: bytes) -> Request:
    """A request to try an ensemble with, for one encoded image."""
    record = ENSEMBLES[ensemble]
    return request_of(record.model, record.sample_inputs(image))


def swap_of(config_texts: Mapping[str, str]) -> Any:
    """The ModelConfig of an ensemble made of these ensembles, each with its own outputs."""
    swap = model_config_pb2.ModelConfig(name=SWAP, platform="ensemble", max_batch_size=0)
    given: dict[str, Any] = {}
    for text in config_texts.values():
        config = parse_config(text)
        step = swap.ensemble_scheduling.step.add(model_name=config.name, model_version=1)
        for entry in config.input:
            step.input_map[entry.name] = entry.name
            given.setdefault(entry.name, entry)
        for entry in config.output:
            step.output_map[entry.name] = f"{config.name}_{entry.name}"
            swap.output.add().CopyFrom(entry)
            swap.output[-1].name = f"{config.name}_{entry.name}"
    swap.input.extend(given.values())
    return swap
