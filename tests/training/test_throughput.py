"""The timings of an epoch add up and are printed and logged."""

import re
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training.runs import Data, train, unet_arguments
from training.callbacks.throughput import PHASES


def test_an_epochs_time_is_shared_out_over_its_phases(
    data: Data, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(*unet_arguments(data, out, 2)) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert [line.split(":")[0] for line in lines] == ["epoch 0", "epoch 1"]
    for line in lines:
        assert all(phase in line for phase in PHASES)
        shares = [int(share) for share in re.findall(r"(\d+)%", line)]
        assert len(shares) == len(PHASES)
        assert abs(sum(shares) - 100) <= len(PHASES)  # rounded
    logged = EventAccumulator(str(out)).Reload()
    phases = [f"time/{phase.replace(' ', '_')}" for phase in PHASES]
    for epoch in range(2):
        assert sum(logged.Scalars(name)[epoch].value for name in phases) == pytest.approx(1)
        assert logged.Scalars("time/images_per_second")[epoch].value > 0
