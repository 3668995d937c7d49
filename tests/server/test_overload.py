"""More clients than the server can serve: the surplus is refused, the rest answered."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from serving.embedded import EmbeddedServer
from tests.data.encoded import encoded_picture
from tests.server.calls import Arrays, Refused, image_array, over_grpc

pytestmark = pytest.mark.server

CLIENTS = 24
PEOPLE = 24  # in each request: seconds of work for the head on two cores
PICTURE = encoded_picture(seed=5, people=2)


def send(server: EmbeddedServer, people: int) -> Arrays | Refused:
    boxes = np.tile(np.array([[5, 5, 80, 150]], dtype=np.float32), (people, 1))
    inputs = {"image": image_array(PICTURE), "boxes": boxes}
    try:
        return over_grpc(server.grpc_url, "person_segmentation_from_boxes", inputs)
    except Refused as refused:
        return refused


def test_the_surplus_is_refused_by_name_and_the_server_serves_on(server: EmbeddedServer) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda _: send(server, PEOPLE), range(CLIENTS)))
    refusals = [answer for answer in answers if isinstance(answer, Refused)]
    assert 0 < len(refusals) < CLIENTS
    for refusal in refusals:
        assert "Request timeout expired" in refusal.message
        assert refusal.status == "StatusCode.UNAVAILABLE"
    for answer in answers:
        if isinstance(answer, dict):
            assert len(answer["masks"]) == PEOPLE
    assert server.is_ready("person_segmentation")
    after = send(server, 1)
    assert isinstance(after, dict)
    assert len(after["masks"]) == 1
