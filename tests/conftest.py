"""What every test starts with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.resilience import deadline


@pytest.fixture(autouse=True)
def no_deadline_of_another_test() -> Iterator[None]:
    """A deadline that one test gives its own context must not cut short the next one's calls."""
    yield
    deadline.begin(None)
