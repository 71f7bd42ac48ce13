"""
One small keep-alive HTTP client for observers: GET a path, read JSON, never wait long.

Standard library only: an observer must not cost the run an import.
"""

from __future__ import annotations

import http.client
import json
from typing import Any


class NoAnswer(Exception):
    """The service gave no usable answer; the text says what came instead."""


class JsonClient:
    """GETs JSON from one address over one kept connection. Not thread-safe."""

    def __init__(self, host: str, port: int, timeout_s: float = 1.0) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout_s)

    def get(self, path: str) -> Any:
        """The decoded body of a 200 answer. Raises NoAnswer for everything else."""
        fresh = self._connection.sock is None
        try:
            return self._once(path)
        except (http.client.HTTPException, OSError) as error:
            self._connection.close()
            if fresh:
                raise NoAnswer(str(error) or type(error).__name__) from error
        try:  # a kept connection that the service has closed meanwhile says nothing about the service
            return self._once(path)
        except (http.client.HTTPException, OSError) as error:
            self._connection.close()
            raise NoAnswer(str(error) or type(error).__name__) from error

    def close(self) -> None:
        self._connection.close()

    def _once(self, path: str) -> Any:
        self._connection.request("GET", path, headers={"Accept": "application/json"})
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise NoAnswer(f"HTTP {response.status} for {path}")
        try:
            return json.loads(body)
        except ValueError as error:
            raise NoAnswer(f"no JSON for {path}") from error
