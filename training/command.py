"""Train a network from a YAML file; every key can be given on the command line.

  peopleseg train fit --config training/configs/yolov9_t.yaml --data.root data/people
  peopleseg train fit --config training/configs/people_unet_b0.yaml --trainer.max_epochs 30 \\
      --model.optimizer.learning_rate 2e-4 --out runs/unet
  peopleseg train fit --config training/configs/yolov9_t.yaml --ckpt_path last
  peopleseg train fit --config training/configs/yolov9_t.yaml --ckpt_path last --further_epochs 10
  peopleseg train fit --config training/configs/yolov9_t.yaml \\
      --config training/configs/recipes/quick_100.yaml
  peopleseg train fit --help

What a recipe says counts more than the variant's YAML, and a key of the command line more than
both, in whichever order they are given.

Into --out go best.ckpt (by the validation's metric), last.ckpt, config.yaml and what TensorBoard
shows (tensorboard --logdir runs). Ctrl-C ends after the current step and leaves last.ckpt, from
which `--ckpt_path last` goes on as if nothing had happened.
"""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from peopleseg.cli.options import POSITIONAL, Help

PASSES_HELP_ON = True  # `train fit --help` is the trainer's


@dataclass(frozen=True, kw_only=True)
class Options:
    arguments: Annotated[
        tuple[str, ...],
        POSITIONAL,
        Help("`fit --help` lists the trainer's keys, `fit --model.help CLASS` a network's"),
        Parameter(allow_leading_hyphen=True),
    ] = ()
    tells_next: Annotated[bool, Parameter(parse=False)] = True  # where the best weights go next


def run(args: Options) -> int:
    """Exit code 0 trained, 1 failed, 2 wrong usage, 130 stopped (a checkpoint is left)."""
    if args.arguments in ((), ("--help",), ("-h",)):
        print(__doc__)
        return 0
    from training.cli import run as work  # torch takes seconds to import

    return work(args.arguments, tells_next=args.tells_next)
