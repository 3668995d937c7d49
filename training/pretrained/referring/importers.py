"""The referring system's weights of other projects."""

from collections.abc import Callable
from pathlib import Path

from peopleseg.networks.referring.text_encoders import TextEncoder
from training.pretrained.import_command import Options
from training.pretrained.imported import Imported
from training.pretrained.referring.uniphd import import_uniphd

PACKAGE = Path("package")  # in a file's place


def import_text_encoder(args: Options) -> Imported:
    """MiniLM, of a folder with an all-MiniLM-L6-v2 or of the package that carries it.

    Raises WrongUsage, OSError.
    """
    network = TextEncoder("minilm")
    network.load(None if args.file == PACKAGE else args.file)
    return Imported(network.eval())


IMPORTERS: dict[str, Callable[[Options], Imported]] = {
    "referring": lambda args: Imported(import_uniphd(args.file)),
    "text_encoder": import_text_encoder,
}
