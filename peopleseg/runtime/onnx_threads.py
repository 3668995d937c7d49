"""How many threads ONNX Runtime computes with, how they wait for work, and what it logs."""

import onnxruntime

ERRORS = 3  # of its log levels: on CPUs its warnings are about its own rewriting of graphs


def options_for(threads: int) -> onnxruntime.SessionOptions:
    """Of a session that runs one operator after the other, each on so many threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    let_threads_sleep(options)
    options.log_severity_level = ERRORS
    return options


def let_threads_sleep(options: onnxruntime.SessionOptions) -> None:
    """Let a session's threads sleep between operators, where ONNX Runtime has them spin.

    Several networks share the CPUs here. A thread that spins takes one from the network that
    has work: with two networks on two cores a call took half as long again.
    """
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
