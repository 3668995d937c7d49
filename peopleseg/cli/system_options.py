"""Options that name systems and their ensembles."""

from typing import Annotated

from peopleseg.cli.options import one_of
from peopleseg.systems.known import ENSEMBLES, SYSTEMS

EnsembleName = Annotated[str, one_of(ENSEMBLES)]
SystemName = Annotated[str, one_of(system.name for system in SYSTEMS)]
