"""What the guard does at a server's end, with processes that are no server."""

import subprocess
import sys
from pathlib import Path

from serving.guard import clear_away
from serving.ports import free_ports, why_not_free

HOST = "127.0.0.1"
# A process gives its memory back before it closes what it listens on; so much takes a while.
LISTENS = """
import socket, sys, time
memory = bytearray(b"1") * (1 << 29)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listens", flush=True)
time.sleep(60)
"""


def test_what_is_cleared_away_holds_no_port_any_more(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    command = [sys.executable, "-c", LISTENS, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None and process.stdout.readline() == b"listens\n"
        assert why_not_free(HOST, port)
        runtime_folder = tmp_path / "runtime"
        runtime_folder.mkdir()
        clear_away(process.pid, runtime_folder)
        assert why_not_free(HOST, port) is None
        assert not runtime_folder.exists()
