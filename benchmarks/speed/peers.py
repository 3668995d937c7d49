"""Our pipeline beside others, by turns on the same images of the same machine.

  peopleseg bench peers --images val --annotations person_val.json

server                the ensemble person_segmentation, one caller
direct_one_caller     the same networks in one process
detector_and_unet     of these, the detector and the people UNet alone: no masks of people
published             the published full-size graphs in their place: people UNet B0 at 640 pixels,
                      hierarchical head B0 at 64 x 48 cells; random weights, the same detector
mask_rcnn_torch       torchvision's Mask R-CNN R50-FPN at 640 pixels by PyTorch, random weights
mask_rcnn_onnx        the same network by ONNX Runtime
yolo_seg              with --yolo-seg FILE.onnx: a YOLO segmenter (v8, 11) by ONNX Runtime
other_repository      with --other-repository DIR: what another model repository serves, in one
                      process, such as that of an earlier commit

All have all threads. Graphs that have to be exported first are kept in a cache. Needs the packages
for training.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal, get_args

from benchmarks.speed.devices import open_model, open_pipeline
from benchmarks.speed.errors import MissingTool
from benchmarks.speed.images import ImageOptions, choose_images, detected
from benchmarks.speed.options import (
    RoundOptions,
    RunOptions,
    ServerOption,
    confined_to,
    running_server,
)
from benchmarks.speed.random_weights import CACHE, published_graph
from benchmarks.speed.saving import finish
from benchmarks.speed.targets import (
    InProcess,
    PeopleRequest,
    Server,
    Target,
    check_responses,
    interleave,
    one_caller,
)
from peopleseg.cli.options import FolderToWrite, Help
from peopleseg.systems.people.contract import ROI_SIZE_HW

MASK_RCNN_TORCH, MASK_RCNN_ONNX = "mask_rcnn_torch", "mask_rcnn_onnx"
DETECTOR_AND_UNET, PUBLISHED = "detector_and_unet", "published"
YOLO_SEG, OTHER_REPOSITORY = "yolo_seg", "other_repository"  # with a file, with a folder
Peer = Literal["detector_and_unet", "published", "mask_rcnn_torch", "mask_rcnn_onnx"]
PEERS: tuple[Peer, ...] = get_args(Peer)


@dataclass(frozen=True, kw_only=True)
class Options(RoundOptions, RunOptions, ServerOption, ImageOptions):
    peers: Annotated[tuple[Peer, ...], Help("some of them")] = PEERS
    cache: Annotated[FolderToWrite, Help("for exported graphs")] = CACHE
    yolo_seg: Annotated[Path | None, Help("an ONNX file as a peer")] = None
    other_repository: Annotated[Path | None, Help("another model repository as a peer")] = None


def run(args: Options) -> int:
    args.cache.mkdir(parents=True, exist_ok=True)
    with confined_to(args.threads):
        pipeline = open_pipeline(args.model_repository, threads=args.threads, device=args.device)
        chosen = choose_images(args, pipeline)
        made = {name: _MADE[name](args) for name in _chosen(args)}
        with running_server(args.model_repository, args.url, device=args.device) as running:
            check_responses(running.url, chosen.groups)
            targets: list[Target] = [Server(running.url, callers=1), one_caller(pipeline)]
            targets += [InProcess(name, response) for name, response in made.items()]
            slices = interleave(targets, chosen.groups, rounds=args.rounds, seconds=args.seconds)
    operators = _mask_rcnn_operators() if MASK_RCNN_TORCH in made else {}
    return finish(
        args, "peers", slices, {**operators, "images": chosen.records}, triton=running.triton
    )


def _chosen(args: Options) -> list[str]:
    given = {YOLO_SEG: args.yolo_seg, OTHER_REPOSITORY: args.other_repository}
    for name, path in given.items():
        if path is not None and not path.exists():
            raise MissingTool(f"--{name.replace('_', '-')} {path}: there is no such file or folder")
    return [*args.peers, *(name for name, path in given.items() if path is not None)]


def _detector_and_unet(args: Options) -> Callable[[PeopleRequest], object]:
    pipeline = open_pipeline(args.model_repository, threads=args.threads, device=args.device)

    def response(request: PeopleRequest) -> object:
        pixels, predictions, letterbox = detected(pipeline, request.image)
        logits = pipeline.call_step("people_unet", {"pixels": pixels})
        inputs = {"predictions": predictions, "letterbox": letterbox}
        return pipeline.call_step("select_people", inputs), logits

    return response


def _published(args: Options) -> Callable[[PeopleRequest], object]:
    networks = ("people_unet", "hierarchical_head")
    unet, head = (published_graph(name, args.cache) for name in networks)
    pipeline = open_pipeline(
        args.model_repository,
        threads=args.threads,
        device=args.device,
        networks={
            "people_unet": open_model(unet, threads=args.threads, device=args.device),
            "hierarchical_head": open_model(head, threads=args.threads, device=args.device),
        },
        reads={"hierarchical_head": ("roi_rgb", "roi_logit")},
        settings={"roi_align": {"roi_size_hw": ROI_SIZE_HW}},
    )
    return lambda request: pipeline.segment(request.image)


def _yolo_seg(args: Options) -> Callable[[PeopleRequest], object]:
    from benchmarks.peers.yolo_seg import YoloSeg

    assert args.yolo_seg is not None  # or it were not chosen
    return YoloSeg(args.yolo_seg, threads=args.threads, device=args.device)


def _other_repository(args: Options) -> Callable[[PeopleRequest], object]:
    assert args.other_repository is not None  # or it were not chosen
    other = open_pipeline(args.other_repository, threads=args.threads, device=args.device)
    return lambda request: other.segment(request.image)


def _mask_rcnn_torch(args: Options) -> Callable[[PeopleRequest], object]:
    from benchmarks.peers.mask_rcnn.speed import InTorch, MaskRCNN

    return InTorch(MaskRCNN(), threads=args.threads, device=args.device)


def _mask_rcnn_operators() -> dict[str, str]:
    from benchmarks.peers.mask_rcnn.speed import operators

    return {"mask_rcnn_torch_operators": operators()}


def _mask_rcnn_onnx(args: Options) -> Callable[[PeopleRequest], object]:
    from benchmarks.peers.mask_rcnn.speed import InOnnxRuntime, MaskRCNN, export

    path = args.cache / f"mask_rcnn-torchvision_{version('torchvision')}.onnx"
    if not path.is_file():
        print(f"exporting {path}", flush=True)
        export(MaskRCNN(), path)
    return InOnnxRuntime(path, threads=args.threads, device=args.device)


_MADE = {
    DETECTOR_AND_UNET: _detector_and_unet,
    PUBLISHED: _published,
    MASK_RCNN_TORCH: _mask_rcnn_torch,
    MASK_RCNN_ONNX: _mask_rcnn_onnx,
    YOLO_SEG: _yolo_seg,
    OTHER_REPOSITORY: _other_repository,
}
