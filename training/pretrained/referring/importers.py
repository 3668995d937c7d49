"""The referring system's weights of other projects."""

from collections.abc import Callable

from peopleseg.networks.referring.text_encoders import TextEncoder
from training.pretrained.import_command import Options
from training.pretrained.imported import Imported


def import_text_encoder(args: Options) -> Imported:
    """MiniLM, of a folder with an all-MiniLM-L6-v2. Raises WrongUsage, OSError."""
    network = TextEncoder("minilm")
    network.load(args.file)
    return Imported(network.eval())


IMPORTERS: dict[str, Callable[[Options], Imported]] = {"text_encoder": import_text_encoder}
