"""The ensembles that a server is expected to answer for.

Those that it was started with and those that it has had since: a release may begin one. An ensemble
that is not in the repository any more, or not yet in the server, is not expected.
"""

from pathlib import Path

from peopleseg.repository.triton_config import CONFIG_FILE, ConfigError, parse_config_file
from peopleseg.systems.known import ENSEMBLES, SYSTEMS
from peopleseg.systems.wiring import pinned, served
from serving.control import Version
from serving.server import Server


class Expected:
    """What one server has to answer for, as it changes."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._had: set[str] = set()

    def look(self) -> None:
        """Note what the server has by now. Raises NoAnswer."""
        self._had |= {version.model for version in self._server.control.ready()} & ENSEMBLES.keys()

    def ensembles(self) -> dict[str, set[Version]]:
        """Each with the versions that it is made of, in the order of the systems."""
        repository = self._server.model_repository
        wanted = self._had | set(self._server.models)
        names = (name for name in served(repository, SYSTEMS) if name in wanted)
        return {name: _made_of(repository, name) for name in names}

    def others(self) -> list[str]:
        """Models that it was told to load and that are no ensemble of a system."""
        return [name for name in self._server.models if name not in ENSEMBLES]

    def needs(self, step: str) -> bool:
        """Whether a model is made of any version of a step. Of models of no system: it may be."""
        versions = (version for made_of in self.ensembles().values() for version in made_of)
        return bool(self.others()) or any(version.model == step for version in versions)

    def pins(self, version: Version) -> bool:
        """Whether an ensemble needs this version, or a model that is loaded is it."""
        return version.model in self.others() or any(
            version in versions for versions in self.ensembles().values()
        )


def _made_of(repository: Path, ensemble: str) -> set[Version]:
    """None where the config is being written, or cannot be read."""
    try:
        config = parse_config_file(repository / ensemble / CONFIG_FILE)
    except (OSError, ConfigError):
        return set()
    return {Version(step, number) for step, number in pinned(config).items()}
