"""As much of TensorRT's Python API as the builder calls, in its shape but without a GPU.

It notes what it is asked for. Whether TensorRT takes that, the tests marked gpu show.
"""

import enum
from typing import Any

import onnx

__version__ = "10.5.0"
asked: dict[str, Any] = {}
fails = ""  # "parse" or "build"


class Logger:
    WARNING = 1

    def __init__(self, level: int) -> None: ...


class BuilderFlag(enum.Enum):
    FP16 = enum.auto()
    INT8 = enum.auto()
    TF32 = enum.auto()


class MemoryPoolType(enum.Enum):
    WORKSPACE = enum.auto()


class NetworkDefinitionCreationFlag(enum.IntEnum):
    EXPLICIT_BATCH = 0


class OnnxParser:
    def __init__(self, network: object, logger: Logger) -> None:
        self.num_errors = 1 if fails == "parse" else 0

    def parse(self, model: bytes) -> bool:
        asked["inputs"] = [value.name for value in onnx.load_from_string(model).graph.input]
        return not self.num_errors

    def get_error(self, index: int) -> str:
        return "planted: no such operator"


class Profile:
    def __init__(self) -> None:
        asked["profile"] = self.shapes = {}  # type: ignore[var-annotated]

    def set_shape(self, name: str, smallest: Any, usual: Any, largest: Any) -> None:
        self.shapes[name] = (smallest, usual, largest)


class TimingCache:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> bytearray:
        return bytearray(self.content + b"+measured")


class BuilderConfig:
    def __init__(self) -> None:
        self.flags = {BuilderFlag.TF32}
        asked["config"] = self

    def set_memory_pool_limit(self, pool: MemoryPoolType, size: int) -> None:
        asked["workspace"] = size

    def set_flag(self, flag: BuilderFlag) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: BuilderFlag) -> None:
        self.flags.discard(flag)

    def add_optimization_profile(self, profile: Profile) -> int:
        return 0

    def create_timing_cache(self, content: bytes) -> TimingCache:
        return TimingCache(content)

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        self.cache = cache
        return True

    def get_timing_cache(self) -> TimingCache:
        return self.cache


class Builder:
    def __init__(self, logger: Logger) -> None: ...

    def create_network(self, flags: int) -> object:
        return object()

    def create_builder_config(self) -> BuilderConfig:
        return BuilderConfig()

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: object, config: BuilderConfig) -> bytes | None:
        return None if fails == "build" else b"engine"


def reset(kind_of_failure: str = "") -> None:
    global fails
    fails = kind_of_failure
    asked.clear()
