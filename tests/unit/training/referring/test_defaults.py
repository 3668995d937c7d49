"""What the data draw unless told otherwise is what the networks read unless told otherwise."""

import inspect

from peopleseg.networks.referring.network import ReferringNetwork
from training.referring.prompting import PromptSettings
from training.referring.task import ReferringPerson


def test_points_beside_the_person_are_drawn_only_for_networks_that_know_them() -> None:
    for built in (ReferringNetwork, ReferringPerson):
        knows = inspect.signature(built).parameters["negative_points"].default
        assert knows or PromptSettings().negative == 0
