"""A real headless Chromium for tests of pages; it hears of every request, error and message of a page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LIMIT_MS = 30_000.0


def chromium() -> str | None:
    """Where a Chromium is: CHROMIUM of the environment, else on the PATH; None when there is none."""
    named = os.environ.get("CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


@dataclass
class Heard:
    """What a page said and asked for."""

    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def opened() -> Iterator[Browser]:
    """A browser, closed afterwards."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def shown(
    browser: Browser, path: Path, *, width: int = 1280, height: int = 900, **context: Any
) -> Iterator[tuple[Page, Heard]]:
    """A page from a file, and what it says and asks for while it is open."""
    room = browser.new_context(viewport={"width": width, "height": height}, **context)
    heard = Heard()
    try:
        page = room.new_page()
        page.set_default_timeout(LIMIT_MS)
        page.on("console", lambda message: heard.messages.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: heard.messages.append(f"error: {error}"))
        page.on("request", lambda request: heard.requests.append(request.url))
        page.goto(path.resolve().as_uri())
        yield page, heard
    finally:
        room.close()
