"""The parts of `peopleseg check`."""
