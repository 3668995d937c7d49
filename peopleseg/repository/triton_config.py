"""Triton's model configs as text: the `config.pbtxt` of every model."""

from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from peopleseg.errors import PeoplesegError

CONFIG_FILE = "config.pbtxt"


class ConfigError(PeoplesegError, ValueError):
    """A text is no config, or configs contradict each other. The message says what is wrong."""


def parse_config(text: str | bytes) -> model_config_pb2.ModelConfig:
    """A ModelConfig of its text. Raises ConfigError for what is none, and for unknown fields."""
    try:
        return text_format.Parse(text, model_config_pb2.ModelConfig())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ConfigError(f"not a Triton model config: {error}") from error


def parse_config_file(path: Path) -> model_config_pb2.ModelConfig:
    """The ModelConfig in a file. Raises OSError, and ConfigError, which names the file."""
    try:
        return parse_config(path.read_bytes())
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
