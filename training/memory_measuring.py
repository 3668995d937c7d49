"""What a training step of each variant needs, each found in a process of its own."""

import multiprocessing
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, astuple, fields
from multiprocessing.connection import Connection
from pathlib import Path

from peopleseg.errors import PeoplesegError
from peopleseg.labels.files import write_json
from peopleseg.pixels.image_files import unique
from training.device import device_of
from training.memory import Need, need_of
from training.memory_command import Options

MILLION = 1_000_000


def run(args: Options) -> int:
    """Measure one after the other and print a table. Returns 1 when one failed."""
    device = device_of(args)
    needs: list[Need] = []
    failed: list[dict[str, str]] = []
    for config in unique(args.configs):
        found = measure(config, device)
        if isinstance(found, Need):
            needs.append(found)
        else:
            failed.append({"config": str(config), "reason": found})
            print(f"peopleseg: {config}: {found}", file=sys.stderr)
    if needs:
        print(table(needs))
    if args.json:
        variants = [asdict(need) for need in needs]
        write_json(args.json, {"device": device, "variants": variants, "failed": failed})
    return 1 if failed else 0


def measure(config: Path, device: str) -> Need | str:
    """What a variant needs, found in a new process, or why it is not known."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        ours, its = context.Pipe(duplex=False)
        process = context.Process(target=_response, args=(config, Path(folder), device, its))
        process.start()
        its.close()  # so that a process that ends without a response is noticed
        try:
            return ours.recv()  # type: ignore[no-any-return]
        except EOFError:
            process.join()
            return _ending(process.exitcode)
        finally:
            process.join()


def table(needs: Sequence[Need]) -> str:
    """A row for each variant; parameters in millions, memory in MiB."""
    rows = [[field.name for field in fields(Need)]]
    rows += [[_shown(value) for value in astuple(need)] for need in needs]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


def _response(config: Path, folder: Path, device: str, response: Connection) -> None:
    try:
        response.send(need_of(config, folder, device))
    except PeoplesegError as error:
        response.send(str(error))
    except Exception as error:  # whatever it is: it is named, and the next variant has its turn
        response.send(f"{type(error).__name__}: {error}")


def _ending(exit_code: int | None) -> str:
    if exit_code and exit_code < 0:
        return f"its process was killed by signal {-exit_code}, as where memory does not suffice"
    return f"its process ended with exit code {exit_code}"


def _shown(value: str | int | None) -> str:
    if value is None:
        return "-"
    return f"{value / MILLION:.1f}M" if isinstance(value, int) and value >= MILLION else str(value)
