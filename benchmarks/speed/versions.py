"""Versions of networks side by side: is the new one quicker, smaller, leaner than the old one?

  peopleseg bench versions people_unet/7 people_unet/8
  peopleseg bench versions deeplab/1 deeplab/2 --threads 1 2 --rounds 10
  peopleseg bench versions model_repository/yolov9/9 elsewhere/yolov9/10

Of one model or of several, of any system; each is a version folder, or MODEL/VERSION of
--model-repository. Ratios are to the first: below 1 is less. Bytes and parameters are counted
(parameters where the version has its network in torch), the accuracy is what the manifest says.
The rest is measured, on the CPUs: the latency of one image or roi, round by round, in each of
which the versions take turns in another order; and the resident bytes that a network adds to a
process of its own. Pixels are those of example images; what else a network reads is random numbers.
Needs the packages for training.
"""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from tqdm import tqdm

from benchmarks.speed.load import Calls, drive_threads
from benchmarks.speed.options import PROCESSORS, RoundOptions, confined_to
from benchmarks.speed.process_memory import ProcessMemory, memory_of, open_network
from benchmarks.speed.result import RESULTS, make_result
from benchmarks.speed.saving import save
from benchmarks.speed.targets import Group, Target, interleave
from benchmarks.speed.version_folders import Version, find_versions, inputs_of
from peopleseg.cli.options import POSITIONAL, FolderToWrite, Help, RepositoryOption, whole
from peopleseg.pixels.examples import EXAMPLES
from peopleseg.systems.step import Arrays


@dataclass(frozen=True)
class MemoryLook(ProcessMemory):
    """A version's process, and in which round it was looked at."""

    version: str
    round: int


class Opened:
    """A version in this process, once for each number of threads."""

    callers = 1

    def __init__(self, version: Version, inputs: Sequence[Arrays], threads: Sequence[int]) -> None:
        self.name = version.name
        self._inputs = inputs
        self._models = {}
        for count in threads:
            with confined_to(count):
                self._models[count] = open_network(version.artifact, count)

    def run(self, group: Group, seconds: float) -> Calls:
        """group: its request is the number of threads."""
        (threads,) = group.requests
        model, inputs = self._models[threads], self._inputs
        with confined_to(threads):
            return drive_threads(lambda turn: model(**inputs[turn % len(inputs)]), 1, seconds)


@dataclass(frozen=True, kw_only=True)
class Options(RoundOptions, RepositoryOption):
    versions: Annotated[
        list[str], POSITIONAL, Help("MODEL/VERSION or a version folder, two or more")
    ]
    threads: Annotated[
        tuple[int, ...], whole(1, PROCESSORS), Help("CPUs that a network computes with")
    ] = tuple(range(1, PROCESSORS + 1))[:2]
    results: Annotated[FolderToWrite, Help("for the JSON")] = RESULTS


def run(args: Options) -> int:
    versions = find_versions(args.model_repository, args.versions)
    inputs = {version.name: inputs_of(version.folder) for version in versions}
    described = {version.name: version.describe() for version in versions}
    threads = sorted(set(args.threads))
    groups = [Group(str(count), [count]) for count in threads]
    opened = [Opened(version, inputs[version.name], threads) for version in versions]
    slices = interleave(opened, groups, rounds=args.rounds, seconds=args.seconds, order=shuffled)
    looks = look(versions, inputs, threads=threads[-1], rounds=args.rounds)
    result = make_result(
        "versions",
        slices,
        {"rounds": args.rounds, "seconds": args.seconds, "images": EXAMPLES},
        threads=threads[-1],
        versions={},
        metrics={"versions": described, "memory": [asdict(one) for one in looks]},
    )
    return save(args.results, result)


def shuffled(targets: Sequence[Target], number: int) -> Sequence[Target]:
    """Another order each round, the same ones every time."""
    return random.Random(number).sample(targets, len(targets))


def look(
    versions: Sequence[Version], inputs: dict[str, Any], *, threads: int, rounds: int
) -> list[MemoryLook]:
    """One process a version and round."""
    looks = []
    with confined_to(threads), tqdm(total=rounds * len(versions), unit="look", disable=None) as bar:
        for number in range(rounds):
            for version in versions:
                bar.set_postfix_str(version.name)
                found = memory_of(version.artifact, inputs[version.name], threads=threads)
                looks.append(MemoryLook(**asdict(found), version=version.name, round=number))
                bar.update()
    return looks
