"""The command line.

    python -m peopleseg.cli.main segment photo.jpg --out out

is the same as `peopleseg segment photo.jpg --out out`.
"""

import sys
from collections.abc import Sequence

from peopleseg import __version__
from peopleseg.cli.application import run_application

# By name: the module, as peopleseg.cli.application runs it, and one line of help.
COMMANDS = {
    "serve": ("serving.command", "start the server with the models of this repository"),
    "segment": ("peopleseg.cli.segment_command", "find people, or classes, in images and folders"),
    "find": ("peopleseg.cli.find_command", "find the person whom a text or a point means"),
    "call": ("peopleseg.cli.call_command", "ask any ensemble about images, for its tensors"),
    "evaluate": ("peopleseg.cli.evaluate_command", "measure a running server's accuracy"),
    "train": ("training.command", "train a network from a YAML file"),
    "train-memory": ("training.memory_command", "measure the memory that trainings need"),
    "data-stats": ("training.data.stats_command", "measure a data set, and its class weights"),
    "data-subset": ("training.data.subset_command", "write a smaller COCO file"),
    "data-generate": ("training.data.generate_command", "make up a data set for first tries"),
    "fill-masks": ("training.data.fill_masks_command", "make masks of people with a box alone"),
    "generate-expressions": (
        "training.referring.generate_command",
        "make up texts that mean one person",
    ),
    "guess-labels": ("training.semantic.guess_command", "guess label maps from a detector's boxes"),
    "precompute-features": (
        "training.features_command",
        "compute what the head on features reads",
    ),
    "validate": ("training.validation.command", "measure checkpoints and compare them"),
    "average-weights": ("training.average_command", "average checkpoints of one training"),
    "export": ("conversion.export.command", "make a checkpoint a version of its model"),
    "import-detector": (
        "conversion.detectors.command",
        "make a published ONNX file a version of the detector",
    ),
    "new-step-version": (
        "conversion.step_version",
        "make a version of a Python step with other settings",
    ),
    "fit-scores": (
        "conversion.fit_scores_command",
        "make scores say how likely a person is right",
    ),
    "render-configs": (
        "peopleseg.cli.render_configs_command",
        "write the configs that follow from others",
    ),
    "check": ("peopleseg.cli.check_command", "find what is wrong in a model repository"),
    "release": (
        "conversion.release.release_command",
        "serve other versions of models, all at once",
    ),
    "rollback": ("conversion.release.rollback_command", "serve an earlier release again"),
    "status": ("conversion.release.status_command", "show what serves, is loaded and is on disk"),
    "prune": ("conversion.release.prune_command", "delete versions that no kept release uses"),
    "bench": ("benchmarks.speed.command", "measure how fast the server is, and what limits it"),
    "retrain": ("conversion.retrain", "train, validate, export and release in one command"),
    "import-weights": (
        "training.pretrained.import_command",
        "make a checkpoint of published weights",
    ),
}

TEXT = """Person instance segmentation: who is in an image, and where.

  peopleseg serve
  peopleseg segment photo.jpg holiday/ --out out
  peopleseg evaluate --images val/ --annotations person_val.json --json results.json
  peopleseg segment --help
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C, 141
    where nobody reads what is printed any more.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    return run_application("peopleseg", TEXT, COMMANDS, f"peopleseg {__version__}", arguments)


if __name__ == "__main__":
    sys.exit(main())
