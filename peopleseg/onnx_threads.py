"""How ONNX Runtime's threads wait for work."""

import onnxruntime


def let_threads_sleep(options: onnxruntime.SessionOptions) -> None:
    """Let a session's threads sleep between operators, where ONNX Runtime has them spin.

    Several networks share the processors here. A thread that spins takes one from the network that
    has work: with two networks on two cores a call took half as long again.
    """
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
