"""The networks of the people system: detectors, UNets, mask heads."""
