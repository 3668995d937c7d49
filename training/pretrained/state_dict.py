"""Read the weights of other projects' checkpoint files, and fit every one of them to a network."""

from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from peopleseg.errors import PeoplesegError
from peopleseg.labels.mistaken import mistaken_file

State = dict[str, Tensor]

WRAPPINGS = ("ema", "ema_model", "state_dict", "model_state_dict", "model")
# What a pickled number of NumPy's is made by, under the names of NumPy 1 and of NumPy 2.
_MAKES_NUMBERS = np.float64(0).__reduce__()[0]
_HARMLESS: list[Any] = [
    Namespace,  # of a training's arguments
    (_MAKES_NUMBERS, "numpy.core.multiarray.scalar"),
    (_MAKES_NUMBERS, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8")),
]
PREFIXES = ("module.", "_orig_mod.")  # of all names

# A file that pickles a whole network, as published YOLOv9 files do, needs its own project's code.
_HOW_TO_CONVERT = """\
If it pickles a network or other objects, run this beside the code that wrote it, and import the
result:
  python -c "import torch; c = torch.load('{name}', map_location='cpu', weights_only=False); \
m = c.get('ema') or c.get('model') or c['model_state_dict']; \
m = m if isinstance(m, dict) else m.float().state_dict(); torch.save(m, 'converted.pt')\""""


class WeightsError(PeoplesegError, ValueError):
    """A file holds no weights that can be imported; the message names it and the next step."""


class KeysDoNotFit(WeightsError):
    """Entries of a file that the network lacks, or the other way round, by their published names.

    mismatched: name to (shape in the file, shape in the network).
    """

    def __init__(
        self,
        source: str,
        missing: list[str],
        unexpected: list[str],
        mismatched: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]],
    ) -> None:
        self.missing, self.unexpected, self.mismatched = missing, unexpected, dict(mismatched)
        lines = [f"{source} does not fit the network, and nothing was imported"]
        lines += [f"  missing: {key}" for key in missing]
        lines += [f"  unexpected: {key}" for key in unexpected]
        lines += [
            f"  shape: {key} is {stored} in the file and {built} in the network"
            for key, (stored, built) in mismatched.items()
        ]
        super().__init__("\n".join(lines))


def read_state_dict(path: Path) -> State:
    """A file's weights by name: bare, or wrapped as one of WRAPPINGS.

    Without what DataParallel (`module.`) and torch.compile (`_orig_mod.`) put before all names. Of
    a training's averaged weights and its last ones, both in the file, the averaged. Read as weights
    only, so no code of the file's runs. Raises WeightsError; OSError when there is no such file.
    """
    return weights_in(read_content(path), path)


def read_content(path: Path) -> Any:
    """All of a file: tensors, numbers, texts, and lists and dictionaries of them. Raises as above.

    Numbers of NumPy's, such as a mean is, and the arguments of a command are read too.
    """
    if said := mistaken_file(path):
        raise WeightsError(f"{path} {said}")
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            return torch.load(path, weights_only=True, map_location="cpu")
    except (UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).partition("\n")[0]
        raise WeightsError(
            f"{path} could not be read as weights only ({reason}). "
            + _HOW_TO_CONVERT.format(name=path.name)
        ) from error


def weights_in(content: Any, path: Path) -> State:
    """The weights by name of what `read_content` found. Raises WeightsError."""
    for wrapping in WRAPPINGS:
        if isinstance(content, dict) and isinstance(content.get(wrapping), dict):
            content = content[wrapping]
    if not _holds_tensors(content):
        raise WeightsError(
            f"{path} holds {_described(content)} where weights by name were expected, bare or as "
            f"one of {', '.join(WRAPPINGS)}; save the network's state_dict() and import that"
        )
    return _without_prefixes(dict(content))


def load_exactly(
    network: nn.Module, state: State, source: str, published: Callable[[str], str] = str
) -> None:
    """Give `network` the weights of `state`, all of them and no others; in place.

    published: the name in `state` of an entry of the network. Counters that a BatchNorm keeps but
    no evaluation reads (`num_batches_tracked`) may be missing. Raises KeysDoNotFit, which names all
    that does not fit; the network is then as it was.
    """
    own = network.state_dict()
    names = {key: published(key) for key in own}
    present = {key: name for key, name in names.items() if name in state}
    missing = [
        name
        for key, name in names.items()
        if key not in present and not key.endswith("num_batches_tracked")
    ]
    unexpected = sorted(state.keys() - set(names.values()))
    mismatched = {
        name: (tuple(state[name].shape), tuple(own[key].shape))
        for key, name in present.items()
        if state[name].shape != own[key].shape
    }
    if missing or unexpected or mismatched:
        raise KeysDoNotFit(source, missing, unexpected, mismatched)
    network.load_state_dict({key: state[name] for key, name in present.items()}, strict=False)


def without_prefix(state: State, prefix: str) -> State:
    """The entries below `prefix`, without it."""
    return {
        key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)
    }


def _without_prefixes(state: State) -> State:
    while prefix := next((p for p in PREFIXES if all(key.startswith(p) for key in state)), None):
        state = without_prefix(state, prefix)
    return state


def _holds_tensors(content: Any) -> bool:
    return (
        isinstance(content, dict)
        and len(content) > 0
        and all(isinstance(value, Tensor) for value in content.values())
    )


def _described(content: Any) -> str:
    if isinstance(content, dict):
        return f"the keys {', '.join(map(str, content)) or '(none)'}"
    return f"a {type(content).__name__}"
