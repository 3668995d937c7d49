"""A release that ends within the process as kill -9 ends it: nothing of it runs any more."""

from collections.abc import Callable

import pytest


class Killed(BaseException):
    """No error that a release would catch and undo."""


def killed_at(stage: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """An `on_stage` that raises Killed at this stage; undoing, which the dead cannot, as well."""

    def die(*_: object) -> None:
        raise Killed

    def on_stage(reached: str) -> None:
        if reached == stage:
            raise Killed

    monkeypatch.setattr("conversion.release.transition.Offline.undo", die)
    return on_stage
