"""Triton's model configs as text: the `config.pbtxt` of every model."""

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

CONFIG_FILE = "config.pbtxt"
ConfigError = text_format.ParseError


def parse_config(text: str) -> model_config_pb2.ModelConfig:
    """A ModelConfig of its text. Raises ConfigError for what is none, and for unknown fields."""
    return text_format.Parse(text, model_config_pb2.ModelConfig())
