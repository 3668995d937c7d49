"""The semantic system's weights of other projects."""

from collections.abc import Callable

from training.pretrained.import_command import Options
from training.pretrained.imported import Imported
from training.pretrained.semantic.deeplab import import_deeplab

IMPORTERS: dict[str, Callable[[Options], Imported]] = {
    "deeplab": lambda args: import_deeplab(args.file),
}
