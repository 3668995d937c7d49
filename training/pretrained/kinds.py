"""The kinds of files that `import-weights` reads, each system's own.

A system has training/pretrained/NAME/kinds.py with `KINDS`, the families of networks by name and
the options that each has of its own, and importers.py with `IMPORTERS`, what reads each. Kinds know
nothing of torch, which takes seconds to import.
"""

from peopleseg.systems.known import parts

KINDS: dict[str, tuple[str, ...]] = {
    kind: options
    for system in parts("training.pretrained.{}.kinds")
    for kind, options in system.KINDS.items()
}
