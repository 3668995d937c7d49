"""The requests by which a release is tried: one of each ensemble for any image."""

from peopleseg.client.wire import Request, request_of
from peopleseg.systems.known import ENSEMBLES


def request_for(ensemble: str, image: bytes) -> Request:
    """A request for one encoded image."""
    record = ENSEMBLES[ensemble]
    return request_of(record.model, record.sample_inputs(image))
