"""
Locust's web page, left out of a load that shows none: it brings Flask, a third of what the child costs to start.

A person's own Locust file may want it, so that one gets it back before it is read.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

NAME = "locust.web"


def leave_out() -> None:
    """To be called before Locust is imported."""
    stand_in = ModuleType(NAME)
    stand_in.WebUI = None  # type: ignore[attr-defined]  # locust.env asks for the name
    sys.modules[NAME] = stand_in


def bring_back() -> None:
    """From here on Locust is whole."""
    sys.modules.pop(NAME)
    page = importlib.import_module(NAME)
    importlib.import_module("locust.env").WebUI = page.WebUI  # type: ignore[attr-defined]
