"""
What runs inside the proxy's container: `python -m harness.links.container PROXY.json`.

Starts Toxiproxy's server, then is the gate. Ends when either ends, so that a container that runs means two programs
that run. PROXY.json: {"toxiproxy": ["198.18.0.30", 8474], "gate": "/config/gate.json"}.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from harness.errors import EXIT_SET_UP_FAILED
from harness.links.gate.__main__ import main as gate

PROGRAM = "toxiproxy-server"


def main(arguments: list[str]) -> int:
    """Run both; returns the gate's exit code, or 4 when Toxiproxy ended first."""
    config = json.loads(Path(arguments[0]).read_text("utf-8"))
    host, port = config["toxiproxy"]
    server = subprocess.Popen(
        [PROGRAM, "-host", host, "-port", str(port)], stdin=subprocess.DEVNULL, env={**os.environ, "LOG_LEVEL": "warn"}
    )
    ending = threading.Event()
    threading.Thread(target=_watch, args=(server, ending), daemon=True).start()
    try:
        code = gate([config["gate"]])
    finally:
        failed = server.poll() is not None
        ending.set()
        server.terminate()
        server.wait()
    return EXIT_SET_UP_FAILED if failed else code


def _watch(server: subprocess.Popen[bytes], ending: threading.Event) -> None:
    """End the gate in order when the server ends by itself."""
    code = server.wait()
    if not ending.is_set():
        print(f"{PROGRAM} ended by itself, exit code {code}", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
