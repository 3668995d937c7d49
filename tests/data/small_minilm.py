"""A text encoder's folder as all-MiniLM-L6-v2 has it: a small vocabulary, and random weights."""

import string
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from peopleseg.networks.referring.text_encoders import TextEncoder

PAD, UNKNOWN, BEGIN, END = range(4)
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_WORDS = ("the", "person", "man", "on", "left", "right", "in", "red", "tall", "##est")


def write_tokenizer(folder: Path) -> Path:
    """A WordPiece tokenizer of some words and all Latin letters. Returns its file."""
    letters = [*string.ascii_lowercase, *(f"##{one}" for one in string.ascii_lowercase)]
    vocabulary = {piece: number for number, piece in enumerate((*_SPECIAL, *_WORDS, *letters))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", BEGIN), ("[SEP]", END)]
    )
    # As the published file: a step that reads whole texts has to switch both off.
    tokenizer.enable_truncation(12)
    tokenizer.enable_padding(length=12)
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def write_minilm(folder: Path) -> Path:
    """With weights in half precision, 45 MB: the encoder has one size. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    torch.manual_seed(0)
    weights = TextEncoder("minilm").model.state_dict()
    save_file({name: one.half() for name, one in weights.items()}, folder / "model.safetensors")
    return folder
