"""Find what is wrong in a model repository, without a server.

  peopleseg check
  peopleseg check --model-repository /srv/models

Looked at are every config (its fields; names, dtypes, dims and batch limits against the tensor
contract), every version (its manifest, its artifact's sha256, its graph against the configs that
load it), every ensemble (its wiring, its pinned versions, and whether these fit together), and
whether these are the versions of the release that serves by the record. One
line for each fault says where it is, what was found and what was expected. Exit code 1 with faults,
0 without.
"""

from pathlib import Path

from peopleseg.checks.check import faults
from peopleseg.checks.reading import read_models
from peopleseg.cli.options import RepositoryOption
from peopleseg.releases.journal import Journal
from peopleseg.releases.pins import edited_pins
from peopleseg.releases.plan import current_versions
from peopleseg.systems.known import SYSTEMS

Options = RepositoryOption


def run(args: Options) -> int:
    """Print the faults. Returns 1 when there are any. Raises ReleaseError."""
    repository = args.model_repository
    found = faults(repository)
    models = {} if found else read_models(repository)[0]
    if found := found or _faults_of_the_whole(repository, len(models)):
        print("\n".join(found))
        return 1
    print(f"no faults in {len(models)} models")
    return 0


def _faults_of_the_whole(repository: Path, models: int) -> list[str]:
    """Of a repository whose files are sound."""
    if not models:
        return [f"{repository} has no model; name the model repository"]
    pinned = {system.name: current_versions(repository, system) for system in SYSTEMS}
    return edited_pins(Journal(repository).attempts(), pinned)
