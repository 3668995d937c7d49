"""The stages by which a running server comes to answer with other versions.

    try_out   the new versions of the steps are loaded beside the old ones, in memory only, and the
              new ensembles under other names; they are asked about images
    swap      the record says `decided`, the configs are written, all ensembles change in one call,
              and are asked again
    retire    versions of older releases are unloaded

Until `swap` nothing on disk changes that a server would read. After any failure in these two `undo`
brings everything back. Each stage can be repeated, also after a kill in the middle of it.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from conversion.release import candidates, variants
from conversion.release.examiner import Examiner
from conversion.release.server import ModelControl
from conversion.release.settle import keep_loaded, load_versions, unload_gone, unload_leftovers
from peopleseg.releases import disk, journal
from peopleseg.releases.disk import Files, OnStage
from peopleseg.releases.errors import ControlError, Refused
from peopleseg.releases.journal import Journal, Record
from peopleseg.releases.plan import ensembles_of, read_config
from peopleseg.systems.known import SYSTEMS
from peopleseg.systems.system import Response
from peopleseg.systems.wiring import pinned, served


@dataclass
class Online:
    """A change of what a running server answers with. record: what is to serve."""

    repository: Path
    control: ModelControl
    examiner: Examiner
    record: Record
    on_stage: OnStage
    _old: dict[str, str] = field(default_factory=dict)  # configs of the ensembles, as they were
    _old_files: Files = field(default_factory=dict)  # and those of the steps
    _touched: list[str] = field(default_factory=list)  # steps whose versions were loaded
    _responses: dict[str, Response] = field(default_factory=dict)  # of the candidates

    def __post_init__(self) -> None:
        self._system = disk.released_system(self.record)
        self._wanted = ensembles_of(self.repository, self._system, self.record.versions)
        attempts = Journal(self.repository).attempts()
        self._kept = disk.kept_besides(self.repository, attempts, self.record.kept, self._system)
        self._served = {name: self._wanted[name] for name in self.record.ensembles}
        self._loaded = self.control.loaded()

    def is_loaded(self) -> bool:
        """Whether every version of the new release is ready."""
        return all(
            version in self._loaded.get(step, ())
            for text in self._served.values()
            for step, version in pinned(text).items()
        )

    def try_out(self) -> None:
        """Load and ask what is new. Raises Refused."""
        for step in sorted({step for text in self._served.values() for step in pinned(text)}):
            there = self._loaded.get(step, set())
            needed = there | set(self._kept[step])
            if needed != there:
                self._touched.append(step)
                self._load(step, needed)
        self.on_stage("loaded")
        for name, text in self._served.items():
            try:
                self.control.load_in_memory(candidates.candidate(text))
            except ControlError as error:
                raise Refused(f"the new {name} does not load: {error}") from error
        self.on_stage("candidates")
        for name in self._served:
            self._try_candidate(name)
        self.on_stage("compared")

    def swap(self) -> None:
        """Let all changed ensembles answer with the new versions from one moment on.

        Raises Refused when they then do not, and what the server or the disk refuse.
        """
        files, ensembles = self._files()
        self._remember(files)
        disk.prepare(self.repository, files | ensembles)
        begin = time.perf_counter()
        self._decide(journal.DECIDED)
        self.on_stage("decided")
        disk.put_in_place(self.repository, files)
        self.on_stage("policies written")
        disk.put_in_place(
            self.repository, ensembles, lambda path: self.on_stage(f"{path.parent.name} written")
        )
        disk.remove_others(self.repository, self._system, self._wanted)
        self._swap_to(self._served)
        swap_ms = round((time.perf_counter() - begin) * 1000, 1)
        self.record = replace(self.record, swap_ms=swap_ms)
        self.on_stage("swapped")
        self.control.unload(candidates.SWAP)
        self._verify()
        self.on_stage("verified")

    def retire(self) -> None:
        """Unload candidates, ensembles that are no more, and versions of older releases."""
        unload_leftovers(self.control)
        unload_gone(self.control, served(self.repository, SYSTEMS))
        keep_loaded(self.repository, self.control, self._kept)
        self.on_stage("retired")

    def undo(self) -> None:
        """Back to what served before.

        Raises OSError when the disk cannot be put back, and ControlError when it is, but the server
        is gone.
        """
        disk.discard_prepared(self.repository)
        if self.record.result == journal.DECIDED:
            self._decide(journal.RETURNING)
            files = self._old_files | disk.ensemble_files(self.repository, self._old)
            disk.prepare(self.repository, files)
            disk.put_in_place(self.repository, files)
            disk.remove_others(self.repository, self._system, self._old)
            self._swap_to({name: self._old[name] for name in self._served if name in self._old})
            unload_gone(self.control, served(self.repository, SYSTEMS))
        unload_leftovers(self.control)
        for step in self._touched:
            if step in self._loaded:
                load_versions(self.repository, self.control, step, self._loaded[step])
            else:
                self.control.unload(step)

    def _load(self, step: str, versions: Collection[int]) -> None:
        try:
            load_versions(self.repository, self.control, step, versions)
        except ControlError as error:
            raise Refused(f"{step} does not load: {error}") from error

    def _try_candidate(self, name: str) -> None:
        expected = self.examiner.responses(self.record.versions, name)
        for number, image in enumerate(self.examiner.images):
            request = candidates.request_for(name, image)._replace(
                model_name=candidates.candidate_name(name)
            )
            try:
                found = self.control.ask(request)
            except ControlError as error:
                raise Refused(f"the new {name} fails on image {number + 1}: {error}") from error
            self._responses.setdefault(name, found)
            if difference := self._difference(found, expected[number]):
                raise Refused(
                    f"the new {name} answers image {number + 1} otherwise on the server than "
                    f"in one process: {difference}"
                )

    def _files(self) -> tuple[Files, Files]:
        """What is to be written: configs of steps that this server uses, and of all ensembles."""
        used: Files = {}
        for step, versions in self._kept.items():
            files = disk.step_files(self.repository, {step: versions})
            if files:
                config = self.control.config(step)
                of_server = variants.used_by(config, self.repository / step)
                used |= {path: text for path, text in files.items() if path in of_server}
        return used, disk.ensemble_files(self.repository, self._wanted)

    def _remember(self, files: Files) -> None:
        self._old_files = {path: path.read_text() for path in files}
        for name in served(self.repository, [self._system]):
            self._old[name] = read_config(self.repository, name) or ""

    def _decide(self, result: str) -> None:
        self.record = Journal(self.repository).append(replace(self.record, result=result))

    def _swap_to(self, config_texts: dict[str, str]) -> None:
        if config_texts:
            self.control.load_in_memory(candidates.swap_of(config_texts))

    def _verify(self) -> None:
        for name, text in self._served.items():
            config = self.control.config(name)
            if config is None or pinned(config) != pinned(text):
                raise Refused(f"{name} does not serve the new versions after the swap")
            found = self.control.ask(candidates.request_for(name, self.examiner.images[0]))
            if name in self._responses:
                if difference := self._difference(found, self._responses[name]):
                    raise Refused(f"{name} answers otherwise than when it was tried: {difference}")

    def _difference(self, found: Response, expected: Response) -> str | None:
        return self.examiner.difference(self.record.versions, found, expected)


@dataclass
class Offline:
    """The same change on disk alone, for a server that is not running."""

    repository: Path
    record: Record
    on_stage: OnStage

    def is_loaded(self) -> bool:
        return False

    def try_out(self) -> None:
        """Nothing can be tried without a server."""

    def swap(self) -> None:
        """Write all configs."""
        self._decide(journal.DECIDED)
        self.on_stage("decided")
        disk.write(
            self.repository,
            disk.released_system(self.record),
            self.record.versions,
            self.record.kept,
            self.on_stage,
        )

    def retire(self) -> None:
        """Nothing is loaded."""

    def undo(self) -> None:
        """Put the old configs back. Raises OSError when that fails."""
        disk.discard_prepared(self.repository)
        if self.record.result == journal.DECIDED:
            self._decide(journal.RETURNING)
            system = disk.released_system(self.record)
            disk.write(self.repository, system, self.record.before, self.record.kept_before)

    def _decide(self, result: str) -> None:
        self.record = Journal(self.repository).append(replace(self.record, result=result))
