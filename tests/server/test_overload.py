"""More clients than the server can serve: the surplus is refused, the rest answered."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from peopleseg.repository.place import MODEL_REPOSITORY
from serving.embedded import EmbeddedServer
from tests.data.encoded import encoded_image
from tests.server.calls import Arrays, Refused, image_array, over_grpc
from tests.server.conftest import READY_TIMEOUT_S
from tests.server.telling import server_of

pytestmark = pytest.mark.server

ENSEMBLE = "person_segmentation_from_boxes"
CLIENTS = 8
PEOPLE = 48  # in each request: much more work for the head than it may wait for
PATIENCE, LITTLE_PATIENCE = (f"default_timeout_microseconds: {us}" for us in (10_000_000, 20_000))
IMAGE = encoded_image(seed=5, people=2)


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """The project's server, but for how long a request waits for the head: on any CPU, all
    requests together take the head longer than that."""
    repository = tmp_path_factory.mktemp("impatient") / "repository"
    shutil.copytree(MODEL_REPOSITORY, repository)
    config = repository / "hierarchical_head" / "config.pbtxt"
    assert PATIENCE in config.read_text()
    config.write_text(config.read_text().replace(PATIENCE, LITTLE_PATIENCE))
    with server_of(repository, models=[ENSEMBLE]) as server:
        server.wait_until_ready(READY_TIMEOUT_S)
        yield server


def send(server: EmbeddedServer, people: int) -> Arrays | Refused:
    boxes = np.tile(np.array([[5, 5, 80, 150]], dtype=np.float32), (people, 1))
    inputs = {"image": image_array(IMAGE), "boxes": boxes}
    try:
        return over_grpc(server.grpc_url, ENSEMBLE, inputs)
    except Refused as refused:
        return refused


def test_the_surplus_is_refused_by_name_and_the_server_serves_on(
    impatient: EmbeddedServer,
) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        responses = list(pool.map(lambda _: send(impatient, PEOPLE), range(CLIENTS)))
    refusals = [response for response in responses if isinstance(response, Refused)]
    assert 0 < len(refusals) < CLIENTS
    for refusal in refusals:
        assert "Request timeout expired" in refusal.message
        assert refusal.status == "StatusCode.UNAVAILABLE"
    for response in responses:
        if isinstance(response, dict):
            assert len(response["masks"]) == PEOPLE
    assert impatient.is_ready(ENSEMBLE)
    after = send(impatient, 1)
    assert isinstance(after, dict)
    assert len(after["masks"]) == 1
