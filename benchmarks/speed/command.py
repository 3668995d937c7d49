"""Measure how fast the server is, and what limits it.

  peopleseg bench server --images val --annotations person_val.json
  peopleseg bench report

Each benchmark writes one JSON with its raw samples into benchmarks/results/ and prints its table;
`report` makes the tables and plots of all of them again, from the JSON alone. `make bench` runs a
short form of all, `make bench-full` the form whose metrics are published. All but `report` measure
on the CPUs; with --device cuda, which `versions` has not, on the first NVIDIA GPU.
"""

COMMANDS = {
    "direct": (
        "benchmarks.speed.direct",
        "the served networks called in one process: the limit",
    ),
    "server": ("benchmarks.speed.server", "the server under load, by turns with the limit"),
    "ensemble": (
        "benchmarks.speed.ensemble",
        "any ensemble under load, by turns with its steps in one process",
    ),
    "steps": (
        "benchmarks.speed.steps",
        "where a request's time goes: each step's time and bytes",
    ),
    "rois": ("benchmarks.speed.rois", "latency against the number of rois"),
    "peers": ("benchmarks.speed.peers", "beside Mask R-CNN and the published full-size graphs"),
    "runtimes": (
        "benchmarks.speed.runtimes",
        "every network by every runtime; lite and full heads",
    ),
    "memory": ("benchmarks.speed.memory", "memory at rest, under load and after many requests"),
    "versions": (
        "benchmarks.speed.versions",
        "versions of networks: latency, bytes, parameters, memory",
    ),
    "report": ("benchmarks.speed.report", "tables and plots of the results"),
}
