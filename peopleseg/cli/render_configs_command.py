"""Write the configs of a model repository that follow from the others.

  peopleseg render-configs
  peopleseg render-configs --check

configs/cuda.pbtxt, tensorrt.pbtxt and tensorrt_plan.pbtxt of every network say what its
config.pbtxt says, for another accelerator; tensorrt.pbtxt also has the lengths that the serving
version reads, so render after a release of networks of other sizes and before the next start. A
step without a config.pbtxt gets one to begin with. Those of the ensembles are written by releases.

Exit code 0, or 1 with --check where something would be written.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from peopleseg.cli.options import Help, RepositoryOption
from peopleseg.labels.files import write_atomically
from peopleseg.releases import lock
from peopleseg.systems.rendered import stale_files


@dataclass(frozen=True, kw_only=True)
class Options(RepositoryOption):
    check: Annotated[bool, Help("write nothing, and tell what would be")] = False


def run(args: Options) -> int:
    """Print every file that changes. Raises Locked, ConfigError, ArtifactError, OSError."""
    if args.check:
        stale = stale_files(args.model_repository)
        for path in stale:
            print(path)
        return 1 if stale else 0
    for path in render(args.model_repository):
        print(path)
    return 0


def render(repository: Path) -> list[Path]:
    """Write what is stale; the files that change. Raises Locked, ArtifactError, OSError."""
    with lock.held(repository):
        stale = stale_files(repository)
        for path, text in stale.items():
            if text is None:
                path.unlink()
            else:
                write_atomically(path, text.encode())
    return list(stale)
