"""Every error of a release.

ReleaseError
├── WrongRelease     a command was asked for what there is not; nothing was begun
├── Refused          the release may not serve, or does not come up; the old one serves
├── Locked           somebody else is releasing
├── ReadOnly         the repository cannot be written
└── ControlError     the server cannot be reached, or refuses to load or unload
"""

from peopleseg.errors import PeoplesegError, WrongUsage


class ReleaseError(PeoplesegError):
    """Base of every error of a release. The message names the cause and the next step."""


class WrongRelease(ReleaseError, WrongUsage):
    """A command's options name what there is not, or contradict each other."""


class Refused(ReleaseError):
    """The release may not serve, or does not come up. What served before serves."""


class Locked(ReleaseError):
    """Somebody else holds the lock. The message names them."""


class ReadOnly(ReleaseError):
    """The repository cannot be written. The message names the file and the reason."""


class ControlError(ReleaseError):
    """The server cannot be reached, or it refuses; the message holds its reason."""
