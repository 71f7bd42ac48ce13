"""The sample shop for tests in Python: ask for `shop`, and it is started for your test and taken down after it."""

from __future__ import annotations

from pathlib import Path

from harness.testing import system_fixture

shop = system_fixture(Path(__file__).parent.parent / "compose" / "shop.yaml")
