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

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="fit ...",
        help="`fit --help` lists the trainer's keys, `fit --model.help CLASS` a network's",
    )
    parser.set_defaults(tells_next=True)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 trained, 1 failed, 2 wrong usage, 130 stopped (a checkpoint is left)."""
    if args.arguments in ([], ["--help"], ["-h"]):
        print(__doc__)
        return 0
    from training.cli import run as work  # torch takes seconds to import

    return work(args)
