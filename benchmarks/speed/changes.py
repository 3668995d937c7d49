"""The optimisations: what each one changes of what is served, or of how it is asked."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.speed import edits
from benchmarks.speed.shared_memory import SharedMemoryServer
from benchmarks.speed.targets import Server, Target
from peopleseg.client.wire import image_bytes
from peopleseg.pixels.images import decode_image


@dataclass(frozen=True)
class Change:
    """One optimisation. What is served, asked over gRPC, has it if it was kept; the other side:

    edit: makes that side of a copy of the served model repository; None where both ask one server.
    ask: how that side is asked, of its address, the number of callers and a name.
    picture: in what form both sides are given an encoded picture.
    other_people: whether the other side may find others.
    """

    name: str
    what: str  # the optimisation, in a phrase
    kept: bool
    edit: Callable[[Path], None] | None = None
    ask: Callable[[str, int, str], Target] = Server
    picture: Callable[[bytes], bytes] = image_bytes
    other_people: bool = False


def as_bmp(image: bytes) -> bytes:
    """The same pixels uncompressed, as the client sends an array."""
    return image_bytes(decode_image(image))


CHANGES = (
    Change(
        "sleeping_threads",
        "ONNX Runtime's threads sleep between operators instead of spinning (networks)",
        True,
        edits.let_threads_spin,
    ),
    Change(
        "shared_processors",
        "a network computes with all of its threads only while no other one does, and shares a "
        "batch out over them in parts that fit into a cache",
        True,
        edits.compute_whole_batches,
    ),
    Change(
        "more_instances",
        "two instances of every network, the UNet's of one thread, the others' of two, instead of "
        "one of two threads",
        True,
        edits.one_instance_of_two_threads,
    ),
    Change(
        "single_pictures",
        "detector and UNet take pictures one by one instead of all that wait",
        True,
        edits.batch_all_that_wait,
    ),
    Change(
        "blocked_layout",
        "graphs written so that ONNX Runtime stays in its blocked layout",
        True,
        edits.plain_layout,
    ),
    Change(
        "early_convolution",
        "the mask head's graph written so that maps are convolved before they are joined, enlarged "
        "or doubled",
        True,
        partial(edits.as_traced, network="hierarchical_head"),
    ),
    Change(
        "int8_detector",
        "the detector in INT8",
        True,
        partial(edits.in_float, network="yolov9"),
        other_people=True,
    ),
    Change(
        "lite_unet",
        "the lite people UNet instead of the published B0",
        True,
        partial(edits.full_size, network="people_unet"),
    ),
    Change(
        "lite_head",
        "the lite mask head instead of the published B0",
        True,
        partial(edits.full_size, network="hierarchical_head"),
    ),
    Change(
        "one_thread_everywhere",
        "the detector's and the head's instances of one thread too",
        False,
        edits.one_thread_everywhere,
    ),
    Change(
        "more_python_steps",
        "two instances of every Python step",
        False,
        edits.two_instances_of_python_steps,
    ),
    Change(
        "shared_memory_jpeg",
        "pictures handed over in shared memory, as they are",
        False,
        ask=SharedMemoryServer,
    ),
    Change(
        "shared_memory_bmp",
        "pictures handed over in shared memory, uncompressed",
        False,
        ask=SharedMemoryServer,
        picture=as_bmp,
    ),
)
