"""Tells over HTTP, on a port of its own, how a server is.

    /startupz   200 once the server was ready for the first time
    /healthz    200 while it is kept serving, also while something of it is brought back
    /readyz     200 where every system answers a real request; else 503, and which does not, and why
    /metrics    what has been brought back and what failed, in Prometheus's text format

All but the metrics are JSON. Triton's own health stays on Triton's ports.
"""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from serving.health.readiness import Readiness
from serving.health.state import CANARY_FAILURES, HEALS, RESTARTS, State

READYZ = "/readyz"
_IDLE_S = 10.0  # a client that does not send its request
_COUNTERS = {  # of what is counted: the metric, its label, its help
    HEALS: ("peopleseg_heals_total", "step", "Steps that died and were loaded again"),
    RESTARTS: ("peopleseg_restarts_total", "cause", "Starts of Triton after its first"),
    CANARY_FAILURES: ("peopleseg_canary_failures_total", "system", "Canaries not answered"),
}
Answer = tuple[bool, dict[str, Any]]  # whether all is well, and what is told


class Sidecar:
    """Answers at `url` while it is a context."""

    def __init__(self, host: str, port: int, state: State, readiness: Readiness) -> None:
        self._state, self._readiness = state, readiness
        handler = type("Handler", (_Handler,), {"sidecar": self})
        self._http = _Http.on(host, port, handler)

    def __enter__(self) -> "Sidecar":
        threading.Thread(target=self._http.serve_forever, name="sidecar", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def started(self) -> Answer:
        return self._state.has_started, {"started": self._state.has_started}

    def healthy(self) -> Answer:
        return True, {"alive": True, "being_brought_back": self._state.troubles}

    def ready(self) -> Answer:
        if not self._state.has_started:
            return False, {"ready": False, "reason": "the server has not started yet"}
        if self._state.is_stopping:
            return False, {"ready": False, "reason": "the server is stopping"}
        if troubles := self._state.troubles:
            return False, {"ready": False, "reason": "being brought back", "failing": troubles}
        report = self._readiness.report()
        if self._state.troubles:  # since the report was asked for
            return self.ready()
        systems = {
            name: {"ready": reason is None} | ({"reason": reason} if reason else {})
            for name, reason in report.failures.items()
        }
        return report.is_ready, {"ready": report.is_ready, "systems": systems}

    def metrics(self) -> str:
        counts = dict(self._state.counts)
        lines = []
        for counted, (metric, label, about) in _COUNTERS.items():
            lines += [f"# HELP {metric} {about}", f"# TYPE {metric} counter"]
            lines += [
                f'{metric}{{{label}="{of}"}} {count}'
                for (what, of), count in sorted(counts.items())
                if what == counted
            ]
        return "\n".join(lines) + "\n"


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    @classmethod
    def on(cls, host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> "_Http":
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        http = type("Http", (cls,), {"address_family": family})
        return http(address[:2], handler)

    def handle_error(self, *_: Any) -> None:
        """A probe that does not wait for its answer is no news."""


class _Handler(BaseHTTPRequestHandler):
    sidecar: Sidecar
    timeout = _IDLE_S

    def do_GET(self) -> None:
        answers = {
            "/startupz": self.sidecar.started,
            "/healthz": self.sidecar.healthy,
            READYZ: self.sidecar.ready,
        }
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._send(200, "text/plain; version=0.0.4; charset=utf-8", self.sidecar.metrics())
        elif path in answers:
            is_well, told = answers[path]()
            self._send(200 if is_well else 503, "application/json", json.dumps(told) + "\n")
        else:
            there = [*answers, "/metrics"]
            self._send(404, "application/json", json.dumps({"there_are": there}) + "\n")

    def _send(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Probes come every second."""
