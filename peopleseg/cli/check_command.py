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

from peopleseg.checks.check import faults
from peopleseg.checks.reading import read_models
from peopleseg.cli.options import RepositoryOption
from peopleseg.releases.pins import edited_pins

Options = RepositoryOption


def run(args: Options) -> int:
    """Print the faults. Returns 1 when there are any."""
    models, _ = read_models(args.model_repository)
    found = faults(args.model_repository)
    if not found and not models:
        found = [f"{args.model_repository} has no model; name the model repository"]
    found += [] if found else edited_pins(args.model_repository)
    for fault in found:
        print(fault)
    if found:
        return 1
    print(f"no faults in {len(models)} models")
    return 0
