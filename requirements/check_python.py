"""Say why the Python that runs this file cannot run peopleseg; silent and exit 0 if it can.

Written for old versions of Python as well, so that they can say that they are too old.
"""

import ctypes
import os
import platform
import sys
import sysconfig

OLDEST, NEWEST = (3, 10), (3, 12)  # for which all pinned packages have wheels
OLDEST_GLIBC = (2, 35)  # what the Triton binary was built against


def fault():
    version = sys.version_info[:2]
    if not OLDEST <= version <= NEWEST:
        return "its version is %d.%d, not one of 3.10 to 3.12" % version
    machine = platform.system(), platform.machine()
    if machine != ("Linux", "x86_64"):
        return "it runs on %s %s; Triton's binary is for Linux x86_64" % machine
    name, number = platform.libc_ver()
    if name != "glibc" or tuple(int(part) for part in number.split(".")[:2]) < OLDEST_GLIBC:
        return "its C library is %s; Triton needs glibc 2.35 or newer" % (name + " " + number)
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        return "it has no ensurepip; install it (on Debian and Ubuntu: python%d.%d-venv)" % version
    library = "libpython%d.%d.so.1.0" % version
    if not os.path.exists(os.path.join(sysconfig.get_config_var("LIBDIR") or "", library)):
        try:
            ctypes.CDLL(library)
        except OSError:
            return "%s is missing; install it (on Debian and Ubuntu: libpython%d.%d)" % (
                (library,) + version
            )
    return None


if __name__ == "__main__":
    found = fault()
    if found:
        print(found)
        sys.exit(1)
