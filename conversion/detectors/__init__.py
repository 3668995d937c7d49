"""Published detectors: an ONNX file of a known kind becomes a version of the detector."""
