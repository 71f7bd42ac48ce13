"""
Which code the proxy's image holds: a fingerprint of everything the gate is made of, worked out by whoever builds the
image and again by whoever runs it. `python -m harness.engine.sources` prints it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_PARTS = (
    "links/__init__.py", "links/base.py", "links/container.py", "links/gate",
    "journal/__init__.py", "journal/spool.py", "journal/masking.py",
    "children.py", "clock.py", "errors.py", "secrets.py",
)  # fmt: skip


def fingerprint(package: Path = _PACKAGE) -> str:
    """The fingerprint of the package in this folder: the same code, the same text."""
    digest = hashlib.sha256()
    for part in _PARTS:
        path = package / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(package)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    print(fingerprint())
