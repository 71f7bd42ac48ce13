"""A guest book: GET /visits counts a visit in Redis and says how many there were. Standard library only."""

import json
import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

CACHE = urlsplit(os.environ["REDIS_URL"])
NAME = os.environ["NAME"]


def counted() -> int:
    """Redis's own words for INCR, on a connection of its own. Raises OSError, ValueError."""
    with socket.create_connection((CACHE.hostname, CACHE.port), timeout=1.5) as connection:
        connection.sendall(b"*2\r\n$4\r\nINCR\r\n$6\r\nvisits\r\n")
        answer = connection.makefile("rb").readline()
    if not answer.startswith(b":"):
        raise ValueError(f"redis said {answer!r}")
    return int(answer[1:])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/healthz":
            self._answer(200, {"name": NAME})
            return
        try:
            self._answer(200, {"name": NAME, "visits": counted()})
        except (OSError, ValueError) as error:
            self._answer(503, {"name": NAME, "error": str(error)})

    def _answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Nothing: a line a request would fill the log."""


class Server(ThreadingHTTPServer):
    request_queue_size = 128


Server(("0.0.0.0", 8000), Handler).serve_forever()
