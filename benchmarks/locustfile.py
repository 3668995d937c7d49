"""The server under the load of Locust's users, who ask for one image after the other by gRPC.

  pip install -r requirements/load.txt -c requirements/serve.txt -c requirements/torch.txt
  locust -f benchmarks/locustfile.py --host localhost:8001 --images data/people/val
  locust -f benchmarks/locustfile.py --host localhost:8001 --images data/people/val \\
      --headless --users 4 --run-time 1m --csv out/locust

The first opens a web page, http://localhost:8089, where users are added while the curves are drawn.
--timeout-s is each call's, --host the server's gRPC port (`peopleseg serve` keeps one up). Failures
are counted by cause, such as "Overloaded in preprocess" or "ServerUnavailable"; with any, the exit
code is 1.
"""

import itertools
import time
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from grpc.experimental.gevent import init_gevent
from locust import User, events, task  # patches the standard library for gevent
from locust.argument_parser import LocustArgumentParser

init_gevent()  # before any connection; else a call would stop all users

from benchmarks.speed.load import cause_of  # noqa: E402
from peopleseg.client.blocking import SegmentationClient  # noqa: E402
from peopleseg.client.errors import SegmentationError  # noqa: E402
from peopleseg.client.wire import DEFAULT_TIMEOUT_S, DEFAULT_URL  # noqa: E402
from peopleseg.pixels.image_files import find_images  # noqa: E402
from peopleseg.systems.people.contract import PERSON_SEGMENTATION  # noqa: E402


class Failure(Exception):
    """A failed call; Locust counts those with the same words together."""


class Caller(User):
    """Asks again as soon as it is answered. The response's size is the people found."""

    host = DEFAULT_URL

    def on_start(self) -> None:
        options = self.environment.parsed_options
        self.images = itertools.cycle(options.images)
        self.client = SegmentationClient(self.host, timeout_s=options.timeout_s)

    def on_stop(self) -> None:
        self.client.close()

    @task
    def segment(self) -> None:
        image = next(self.images).read_bytes()
        outcome: dict[str, Any] = {"exception": None, "response_length": 0}
        begin = time.perf_counter()
        try:
            outcome["response_length"] = len(self.client.segment(image))
        except SegmentationError as error:
            outcome["exception"] = Failure(cause_of(error))
        self.environment.events.request.fire(
            request_type="gRPC",
            name=PERSON_SEGMENTATION.name,
            response_time=1000 * (time.perf_counter() - begin),
            context={},
            **outcome,
        )


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    parser.add_argument(
        "--images",
        type=_images,
        required=True,
        include_in_web_ui=False,
        help="an image, or a folder of images",
    )
    parser.add_argument("--timeout-s", type=float, default=DEFAULT_TIMEOUT_S, help="of a call")


def _images(text: str) -> list[Path]:
    try:
        return find_images(Path(text), leave_out=Path(text))
    except OSError as error:
        raise ArgumentTypeError(f"{text}: {error}") from error
