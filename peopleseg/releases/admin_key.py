"""The key of a server whose model control is restricted: NAME:SECRET."""

import os

from peopleseg.releases.errors import ControlError

VARIABLE = "PEOPLESEG_ADMIN_KEY"


def read_admin_key(key: str | None = None) -> tuple[str, str] | None:
    """Name and secret of `key`, or of the environment variable; None where neither is given.

    Raises ControlError for a key of another form.
    """
    key = key or os.environ.get(VARIABLE)
    if not key:
        return None
    name, colon, secret = key.partition(":")
    if not (name and colon and secret):
        raise ControlError(f"an admin key is NAME:SECRET; {VARIABLE} or --admin-key is another")
    return name, secret
