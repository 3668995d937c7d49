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

import argparse
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from benchmarks.speed.devices import open_model, open_pipeline
from benchmarks.speed.errors import MissingTool
from benchmarks.speed.images import add_image_options, choose_images, detected
from benchmarks.speed.options import (
    add_round_options,
    add_run_options,
    add_server_option,
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
from peopleseg.systems.people.contract import ROI_SIZE_HW

MASK_RCNN_TORCH, MASK_RCNN_ONNX = "mask_rcnn_torch", "mask_rcnn_onnx"
DETECTOR_AND_UNET, PUBLISHED = "detector_and_unet", "published"
YOLO_SEG, OTHER_REPOSITORY = "yolo_seg", "other_repository"  # with a file, with a folder
PEERS = (DETECTOR_AND_UNET, PUBLISHED, MASK_RCNN_TORCH, MASK_RCNN_ONNX)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_image_options(parser)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS, help="some of them")
    parser.add_argument(
        "--cache", type=Path, default=CACHE, metavar="DIR", help="for exported graphs (%(default)s)"
    )
    parser.add_argument("--yolo-seg", type=Path, metavar="FILE", help="an ONNX file as a peer")
    parser.add_argument(
        "--other-repository", type=Path, metavar="DIR", help="another model repository as a peer"
    )
    add_server_option(parser)
    add_run_options(parser)
    add_round_options(parser)


def run(args: argparse.Namespace) -> int:
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


def _chosen(args: argparse.Namespace) -> list[str]:
    given = {YOLO_SEG: args.yolo_seg, OTHER_REPOSITORY: args.other_repository}
    for name, path in given.items():
        if path is not None and not path.exists():
            raise MissingTool(f"--{name.replace('_', '-')} {path}: there is no such file or folder")
    return [*args.peers, *(name for name, path in given.items() if path is not None)]


def _detector_and_unet(args: argparse.Namespace) -> Callable[[PeopleRequest], object]:
    pipeline = open_pipeline(args.model_repository, threads=args.threads, device=args.device)

    def response(request: PeopleRequest) -> object:
        pixels, predictions, letterbox = detected(pipeline, request.image)
        logits = pipeline.call_step("people_unet", {"pixels": pixels})
        inputs = {"predictions": predictions, "letterbox": letterbox}
        return pipeline.call_step("select_people", inputs), logits

    return response


def _published(args: argparse.Namespace) -> Callable[[PeopleRequest], object]:
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


def _yolo_seg(args: argparse.Namespace) -> Callable[[PeopleRequest], object]:
    from benchmarks.peers.yolo_seg import YoloSeg

    return YoloSeg(args.yolo_seg, threads=args.threads, device=args.device)


def _other_repository(args: argparse.Namespace) -> Callable[[PeopleRequest], object]:
    other = open_pipeline(args.other_repository, threads=args.threads, device=args.device)
    return lambda request: other.segment(request.image)


def _mask_rcnn_torch(args: argparse.Namespace) -> Callable[[PeopleRequest], object]:
    from benchmarks.peers.mask_rcnn.speed import InTorch, MaskRCNN

    return InTorch(MaskRCNN(), threads=args.threads, device=args.device)


def _mask_rcnn_operators() -> dict[str, str]:
    from benchmarks.peers.mask_rcnn.speed import operators

    return {"mask_rcnn_torch_operators": operators()}


def _mask_rcnn_onnx(args: argparse.Namespace) -> Callable[[PeopleRequest], object]:
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
