"""
What the gate is told at its start: one JSON file, written by the runner.

    {"token": "...", "control": ["127.0.0.1", 9000], "spool": "RUN/spool/gate.jsonl", "lifeline": true,
     "links": [{"name": "order->payment", "listen": ["127.0.1.1", 8001], "upstream": ["127.0.0.1", 9101],
                "protocol": "auto"}]}

`upstream` is the next hop, the link's Toxiproxy. With `lifeline` the gate ends when its standard input does. With
`enclosed` it sits in a container, and the control's address is in a network that no other container joins.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import SetUpError
from harness.links.base import PROTOCOLS, Address, LinkSpec, Protocol, is_loopback
from harness.secrets import private_opener


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLink:
    """One link as the gate sees it; protocol is auto, http or raw."""

    name: str
    listen: Address
    upstream: Address
    protocol: Protocol = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    """Everything the gate needs to know."""

    token: str
    control: Address
    spool: Path
    links: tuple[GateLink, ...]
    lifeline: bool = False
    enclosed: bool = False


def write_config(
    path: Path,
    *,
    token: str,
    control: Address,
    spool: Path,
    links: Sequence[LinkSpec],
    lifeline: bool = True,
    enclosed: bool = False,
) -> None:
    """Write the file for these links; readable by its owner alone, because it holds the token."""
    entries = [
        {"name": link.name, "listen": link.listen, "upstream": link.proxy, "protocol": link.protocol} for link in links
    ]
    text = json.dumps(
        {
            "token": token, "control": control, "spool": str(spool), "lifeline": lifeline, "enclosed": enclosed,
            "links": entries,
        },
        indent=1,
    )  # fmt: skip
    with open(path, "w", encoding="utf-8", opener=private_opener) as file:
        file.write(text)


def read_config(path: Path) -> GateConfig:
    """Read the file. Raises SetUpError."""
    try:
        data = json.loads(path.read_text("utf-8"))
        links = tuple(_link(entry) for entry in data["links"])
        config = GateConfig(
            token=str(data["token"]),
            control=_address(data["control"]),
            spool=Path(data["spool"]),
            links=links,
            lifeline=bool(data.get("lifeline", False)),
            enclosed=bool(data.get("enclosed", False)),
        )
    except OSError as error:
        raise SetUpError(f"cannot read the gate's configuration {path}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise SetUpError(f"{path} is no configuration of the gate: {type(error).__name__}: {error}") from error
    if not is_loopback(config.control) and not config.enclosed:
        host, port = config.control
        raise SetUpError(
            f"{path}: control is {host}:{port}, which others could reach", hint="a loopback address, such as 127.0.0.1"
        )
    if not config.token:
        raise SetUpError(f"{path}: the token is empty; anybody on this machine could steer the gate")
    names = [link.name for link in links]
    if len(set(names)) < len(names):
        raise SetUpError(f"{path}: a link is named twice in {names}")
    return config


def _link(entry: dict[str, Any]) -> GateLink:
    protocol = entry.get("protocol", "auto")
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol {protocol!r} of link {entry['name']!r} is none of {', '.join(PROTOCOLS)}")
    return GateLink(
        name=str(entry["name"]),
        listen=_address(entry["listen"]),
        upstream=_address(entry["upstream"]),
        protocol=protocol,
    )


def _address(value: Any) -> Address:
    host, port = value
    if not isinstance(host, str) or not isinstance(port, int) or not 0 < port < 65536:
        raise ValueError(f"{value!r} is no address; write [host, port]")
    return host, port
