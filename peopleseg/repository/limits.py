"""What every exported graph keeps to, so that the ONNX Runtime of the pinned image reads it."""

OPSET = 17
MAX_IR_VERSION = 10  # of ONNX Runtime 1.19
