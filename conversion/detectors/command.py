"""Make a published detector the next version of the detector (model yolov9) in the repository.

  peopleseg import-detector nanodet_g_416.onnx --decoder nanodet --licence Apache-2.0
  peopleseg import-detector yolox_s.onnx --decoder yolox --licence Apache-2.0 \\
      --images data/people/val --annotations data/people/person_val.json
  peopleseg import-detector mine.onnx --decoder yolov8 --licence "my own" --list-features
  peopleseg import-detector mine.onnx --decoder yolov8 --licence "my own" --features /model.15/out

The file stays as it is in the middle of a graph that takes the server's pixels, resizes and
normalises them as the kind of detector wants it, and decodes its outputs. The kinds:

  nanodet   NanoDet and NanoDet-Plus, one output or one pair for each stride
  yolox     YOLOX without decode_in_inference: [1, anchors, 5 + classes]
  yolov8    YOLOv8 and later without NMS: [1, 4 + classes, anchors]

One map of the neck becomes the features that mask heads read: of stride 8, found where the neck
goes down and up again, or the one that --features names. A head that serves with this detector has
to be trained on it: `peopleseg train fit ... --model.detector model_repository/yolov9/N`.

The new graph is compared with the file, run by ONNX Runtime on the same pixels and decoded in
torch: on images and random numbers, alone and in batches. Out of tolerance nothing is written.
With --images and --annotations the file's box_ap50 on them is printed too, and its metrics go into
the version's manifest.

Exit code 0 when the version is there, 1 when the file is not what it should be or was refused, 2
for wrong usage.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from conversion.export.options import (
    VersionOptions,
    print_version,
    settings_of,
    tell_stage,
    wrong_usage,
)
from peopleseg.cli.options import POSITIONAL, Help
from peopleseg.repository.manifest import Manifest

Kind = Literal["nanodet", "yolox", "yolov8"]


@dataclass(frozen=True, kw_only=True)
class Options(VersionOptions):
    file: Annotated[Path, POSITIONAL, Help("an ONNX file")]
    decoder: Annotated[Kind, Help("what its outputs mean")]
    licence: Annotated[str, Help("of the weights, for the manifest")] = ""
    person_class: Annotated[
        int, Help("which of the file's classes is found; 0 is the person of COCO")
    ] = 0
    features: Annotated[
        str | None, Help("the map that mask heads read (the neck's at stride 8)")
    ] = None
    list_features: Annotated[bool, Help("print the maps at stride 8, and do no more")] = False


def run(args: Options) -> int:
    """Import one file, and print the version's folder."""
    if args.list_features and args.file.is_file():
        return _list_features(args.file)
    return print_version(args, _wrong_usage(args), lambda images: _import(args, images))


def _wrong_usage(args: Options) -> str | None:
    if not args.file.is_file():
        return f"there is no file {args.file}; name an ONNX file"
    if not args.licence.strip():
        return (
            "--licence is missing: name the licence of the weights, which the manifest carries "
            "with them (for example --licence Apache-2.0)"
        )
    if (args.images is None) != (args.annotations is None):
        missing = "--annotations" if args.annotations is None else "--images"
        return f"{missing} is missing: to measure the file takes --images and --annotations"
    return wrong_usage(args)


def _list_features(file: Path) -> int:
    from conversion.detectors.maps import candidates
    from conversion.detectors.source import read_source

    for one in candidates(read_source(file)):
        print(f"{one.name} [{one.channels}, {one.side}, {one.side}]")
    return 0


def _import(args: Options, images: list[Path]) -> Path:
    """Raises ExportError, OSError."""
    from conversion.detectors.imported import Wanted
    from conversion.detectors.importer import import_version

    version = import_version(
        args.file,
        Wanted(args.decoder, args.person_class, args.features),
        images,
        settings_of(args, weights_licence=args.licence.strip()),
        repository=args.model_repository,
        on_stage=tell_stage,
    )
    if metrics := Manifest.read(version).accuracy:
        print(f"box_ap50 of the file: {metrics['box_ap50']:.4f}")
    return version
