"""
The kinds of bad input: each makes the case of a number, always the same one for a seed.

The files that are spoilt are the shipped ones; the shop's Compose file lies beside every scenario.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import damage
import yaml
from case import FIFO, FOLDER, LINK, MEGABYTE, REPEATED, Case, Item

ROOT = Path(__file__).parents[1]
SCENARIO, COMPOSE = "scenarios/one.yaml", "compose/shop.yaml"
LOCUSTFILE = b"import locust\n\nclass One(locust.FastHttpUser):\n    @locust.task\n    def ask(self):\n        self.client.get('/')\n"
EXTENSION = "x-harness"


@cache
def shipped() -> tuple[bytes, ...]:
    """Every scenario of the repository."""
    return tuple(path.read_bytes() for path in sorted((ROOT / "scenarios").rglob("*.yaml")))


@cache
def compose() -> bytes:
    return (ROOT / COMPOSE).read_bytes()


@cache
def trees() -> tuple[Any, ...]:
    return tuple(yaml.safe_load(text) for text in shipped())


@cache
def compose_tree() -> Any:
    return yaml.safe_load(compose())


def at_scenarios(data: bytes) -> bytes:
    """A shipped scenario as it reads the Compose file of a case, whichever folder it came from."""
    return data.replace(b"system: ../../compose", b"system: ../compose")


def dumped(tree: Any, chance: random.Random) -> bytes:
    text = yaml.safe_dump(
        tree, allow_unicode=False, sort_keys=False, default_flow_style=chance.choice((None, True, False))
    )
    return text.encode()


# -- files of people -------------------------------------------------------------------------------------------


def scenario(chance: random.Random) -> Case:
    """A shipped scenario, spoilt as text or as data."""
    if chance.random() < 0.5:
        data, label = damage.spoil_text(chance, at_scenarios(chance.choice(shipped())))
    else:
        tree, label = damage.spoil_tree(chance, chance.choice(trees()))
        data = at_scenarios(dumped(tree, chance))
    return written(chance, data, compose(), label=label)


def system(chance: random.Random) -> Case:
    """The shop's Compose file, spoilt, under a shipped scenario."""
    if chance.random() < 0.5:
        data, label = damage.spoil_text(chance, compose())
    else:
        tree, label = damage.spoil_tree(chance, compose_tree())
        data = dumped(tree, chance)
    return written(chance, at_scenarios(chance.choice(shipped())), data, label=label)


def objectives(chance: random.Random) -> Case:
    """Only the SLO, profile and ledger parts of the Compose file, spoilt."""
    tree = json.loads(json.dumps(compose_tree()))
    part = chance.choice(("slos", "slos", "profiles", "ledgers"))
    tree[EXTENSION][part], label = damage.spoil_tree(chance, tree[EXTENSION][part])
    return written(chance, at_scenarios(chance.choice(shipped())), dumped(tree, chance), label=f"{part}: {label}")


def written(chance: random.Random, one: bytes, other: bytes, *, label: str) -> Case:
    """A scenario and its Compose file; `run` too where it has to refuse, which is known only after `validate`."""
    files = {SCENARIO: Item(data=one), COMPOSE: Item(data=other)}
    commands = chance.choice((
        (("validate", SCENARIO, "--json"), ("@refused", "run", SCENARIO, "--plain")),
        (("validate", SCENARIO), ("list", "scenarios", SCENARIO)),
        (("validate", "scenarios", "--json"), ("validate", SCENARIO), ("@refused", "run", SCENARIO, "--json")),
        (("validate", SCENARIO, "--json", "--set", override(chance)),),
    ))  # fmt: skip
    small = len(one) <= MEGABYTE and len(other) <= MEGABYTE
    return Case(
        kind="",
        label=label,
        commands=commands,
        files=files,
        names=(SCENARIO, COMPOSE, "scenarios", "--set"),
        lines=small,
    )


def override(chance: random.Random) -> str:
    known = [
        "timeline[1].fault.latency",
        "load.arrivals",
        "name",
        "with.order.X",
        "expect[0].availability.at_least",
        "seed",
    ]
    pieces = [
        "[",
        "]",
        ".",
        "[0]",
        "[-1]",
        "[99999]",
        '"',
        "with",
        "timeline",
        "a",
        "=",
        " ",
        "[slow]",
        "é",
        "\0",
        "[x",
    ]
    path = chance.choice(known) if chance.random() < 0.5 else "".join(chance.choices(pieces, k=chance.randrange(6)))
    return f"{path}={chance.choice((*damage.WORDS, *map(str, damage.NUMBERS)))}"


def noise(chance: random.Random) -> Case:
    """Random bytes, or random pieces of YAML, as a scenario, a Compose file or both."""
    length = chance.choice((0, 1, 2, 16, 300, 5000, 100_000))
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: chance.randbytes(length),
        lambda: "".join(chance.choices("abc:-#{}[]&*!|>'\"%@` \n\t0189,?~", k=length)).encode(),
        lambda: b"".join(chance.choices(damage.PIECES, k=length // 10 + 1)),
        lambda: b"".join(
            chance.choices((b"timeline:\n", b"  - steady: 3s\n", b"name: x\n", b"expect:\n", b"- a: b\n", b"  "), k=20)
        ),
    )
    data = chance.choice(ways)()
    if chance.random() < 0.5:
        return written(chance, data, compose(), label=f"scenario of {len(data)} bytes")
    return written(chance, at_scenarios(chance.choice(shipped())), data, label=f"system of {len(data)} bytes")


def bombs() -> dict[str, bytes]:
    """Small texts that grow, or that nest."""
    layers = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))
    merged = "\n".join(f"m{n}: &m{n}\n  <<: [{', '.join([f'*m{n - 1}'] * 9)}]\n  k{n}: 1" for n in range(1, 9))
    return {
        "laughs": f"a0: &a0 [x]\n{layers}\n".encode(),
        "merges": f"m0: &m0 {{x: 1}}\n{merged}\n".encode(),
        "merge of itself": b"a: &a\n  <<: *a\n  b: 1\n",
        "list of itself": b"timeline: &t [*t, *t]\n",
        "mapping of itself": b"&r\nname: *r\ntimeline: *r\n",
        "text many times": b"a: &a " + b"x" * 100_000 + b"\nb: [" + b"*a, " * 5000 + b"]\n",
        "deep lists": b"timeline: " + b"[" * 20_000,
        "deep closed lists": b"timeline: " + b"[" * 5000 + b"]" * 5000,
        "deep mappings": b"{a: " * 20_000,
        "deep indentation": b"".join(b" " * n + b"a:\n" for n in range(800)),
        "deep sequences": b"- " * 50_000 + b"x",
        "explicit keys": b"? " * 30_000 + b"x",
        "twice-written keys": b"name: x\n" * 20_000,
        "many keys": b"".join(b"k%d: 1\n" % n for n in range(90_000)),
        "many anchors": b"".join(b"k%d: &a%d 1\n" % (n, n) for n in range(30_000)),
        "one long word": b"name: " + b"x" * 900_000,
        "one long number": b"seed: " + b"9" * 900_000,
        "long duration": b"timeline: [{steady: " + b"1s" * 200_000 + b"}]",
        "digits of a duration": b"timeline: [{steady: " + b"1" * 200_000 + b"}]",
        "blanks of a link": b"timeline: [{fault: {toxic: latency, link: 'a" + b" " * 200_000 + b"b', latency: 1s}}]",
        "long comment": b"#" * 900_000,
        "blank lines": b"\n" * 900_000,
        "many documents": b"--- a\n" * 50_000,
        "folded text": b"name: >\n" + b"  x\n\n" * 100_000,
        "quoted text": b'name: "' + b"\\x41" * 100_000 + b'"',
        "directives": b"%TAG ! tag:x\n" * 20_000 + b"---\nname: x\n",
        "tags": b"name: " + b"!a" * 50_000 + b" x\n",
        "interpolation": b"services: {a: {command: '" + b"${A:-" * 20_000 + b"'}}\n",
        "many variables": b"services: {a: {command: '" + b"$A" * 100_000 + b"'}}\n",
        "many mistakes": b"timeline:\n" + b"  - {fault: {toxic: latency}}\n" * 15_000,
        "many unknown keys": b"name: x\n" + b"".join(b"kex%d: 1\n" % n for n in range(20_000)),
        "many promises": b"expect:\n" + b"  - {latency: {p99: 1s}}\n" * 15_000,
        "many services": b"services:\n" + b"".join(b"  s%d: {command: x, depends_on: [s%d]}\n" % (n, n + 1) for n in range(9000)),
        "many urls": b"services:\n" + b"".join(
            b"  s%d: {command: x, expose: [%d], environment: {U: 'http://s%d:80'}}\n" % (n, n + 1, n + 1) for n in range(9000)),
        "51 MB": b"# 51 MB\n",
    }  # fmt: skip


def bomb(chance: random.Random) -> Case:
    """What grows, nests or goes on for ever."""
    name, data = chance.choice(list(bombs().items()))
    label = name
    spoil_it = chance.random() < 0.3 and name != "51 MB"
    if spoil_it:
        data, how = damage.spoil_text(chance, data)
        label = f"{name}: {how}"
    own = at_scenarios(chance.choice(shipped()))
    if chance.random() < 0.3:
        data = own + data
    case = (
        written(chance, data, compose(), label=label)
        if chance.random() < 0.6
        else written(chance, own, data, label=label)
    )
    if name == "51 MB":
        files = {path: Item(make=REPEATED, data=b"# 51 MB\n", times=51 * MEGABYTE // 8) for path in (SCENARIO,)}
        return replace(case, files={**case.files, **files}, lines=False)
    return case


def special(chance: random.Random) -> Case:
    """Something that is no ordinary file, where one is wanted."""
    item = chance.choice((
        Item(make=FIFO), Item(make=FOLDER), Item(make=LINK, target="one.yaml"), Item(make=LINK, target="two.yaml"),
        Item(make=LINK, target="/dev/zero"), Item(make=LINK, target="/dev/full"), Item(make=LINK, target="/dev/tty"),
        Item(make=LINK, target="/proc/self/mem"), Item(make=LINK, target="/proc/self/pagemap"), Item(make=LINK, target="/proc/kallsyms"), Item(make=LINK, target="nowhere"),
        Item(make=LINK, target="x" * 300), Item(make=LINK, target="."), Item(make=LINK, target="/proc/self/fd/0"),
    ))  # fmt: skip
    files = {SCENARIO: Item(data=at_scenarios(chance.choice(shipped()))), COMPOSE: Item(data=compose())}
    where = chance.choice((SCENARIO, COMPOSE, "run", "run/journal.db", "scenarios/locustfile.py"))
    files["scenarios/two.yaml"] = Item(make=LINK, target="one.yaml" if where == SCENARIO else "two.yaml")
    commands: tuple[tuple[str, ...], ...] = (("validate", SCENARIO, "--json"), ("list", "scenarios", SCENARIO))
    if where.startswith("run"):
        commands = (("judge", "run"), ("report", "run"), ("judge", "run", "--json"))
    elif where.endswith(".py"):
        text = b"name: x\nsystem: ../compose/shop.yaml\nload: {users: 1, locustfile: locustfile.py}\n"
        files[SCENARIO] = Item(data=text + b"timeline: [{steady: 3s}]\nexpect: [{availability: {at_least: 9%}}]\n")
    files[where] = item
    commands = (*commands, ("validate", "scenarios"))
    if item.make == LINK and item.target == "." and where == SCENARIO:
        commands += (("list", "scenarios", "scenarios"),)
    names = (SCENARIO, COMPOSE, "scenarios", "run", "locustfile.py")
    return Case(
        kind="", label=f"{where} is a {item.make} {item.target[:20]}", commands=commands, files=files, names=names
    )


# -- locustfiles -----------------------------------------------------------------------------------------------


def locustfile(chance: random.Random) -> Case:
    """A person's locustfile that Python cannot read, as `validate` sees it."""
    data = chance.choice((
        lambda: damage.spoil_text(chance, LOCUSTFILE)[0],
        lambda: chance.randbytes(300),
        lambda: b"(" * chance.choice((50, 5000, 200_000)),
        lambda: b"-" * chance.choice((90, 5000, 200_000)) + b"1",
        lambda: b"x = " + b"[" * 90 + b"]" * 90,
        lambda: b"x" + b".x" * 50_000,
        lambda: b"x = " + b"1+" * 50_000 + b"1",
        lambda: b"".join(b" " * n + b"if 1:\n" for n in range(120)),
        lambda: b"# -*- coding: nonsense -*-\n",
        lambda: b"x = '''" + b"a" * 200_000,
        lambda: b"x = " + b"9" * 10_000 + b"\n",
        lambda: b"f'{" * 60,
    ))()  # fmt: skip
    name = chance.choice(
        ("locustfile.py", "locustfile.py", "./locustfile.py", "locustfile", "../scenarios/locustfile.py")
    )
    text = f"name: x\nsystem: ../compose/shop.yaml\nload: {{users: 2, locustfile: {name}}}\ntimeline:\n  - steady: 3s\n"
    text += "expect:\n  - availability: {at_least: 99%}\n"
    files = {
        SCENARIO: Item(data=text.encode()),
        COMPOSE: Item(data=compose()),
        f"scenarios/{Path(name).name}": Item(data=data),
    }
    return Case(
        kind="", label=f"{len(data)} bytes", commands=(("validate", SCENARIO, "--json"), ("validate", SCENARIO)),
        files=files, names=(SCENARIO, "locustfile"), lines=True,
    )  # fmt: skip


# -- what the environment and the command line say ---------------------------------------------------------------


def environment(chance: random.Random) -> Case:
    """Variables the harness reads, or that a Compose file asks for, with words nobody meant."""
    words = [w.replace("\0", "") for w in damage.WORDS]
    names = [
        "HARNESS_DATA",
        "HARNESS_TOXIPROXY",
        "HARNESS_TOXIPROXY_URL",
        "HARNESS_RUN",
        "HARNESS_SERVICE",
        "XDG_CACHE_HOME",
    ]
    names += [
        "XDG_STATE_HOME",
        "HOME",
        "TMPDIR",
        "COLUMNS",
        "LINES",
        "TERM",
        "NO_COLOR",
        "FORCE_COLOR",
        "ANSWER",
        "LANG",
        "PATH",
    ]
    names += ["CI", "GITHUB_ACTIONS", "JUPYTER_COLUMNS", "TTY_COMPATIBLE", "COLORTERM"]
    words = [w.encode("utf-8", "ignore").decode() for w in words]
    values = [
        *words,
        "/dev/null",
        "/dev/null/x",
        "fifo",
        "folder",
        "program",
        "silent",
        "loop",
        "run",
        "-1",
        "99999999",
        "\udcff",
    ]
    chosen = {name: chance.choice(values) for name in chance.sample(names, k=chance.randrange(1, 5))}
    chosen.setdefault("XDG_STATE_HOME", "state")  # never the user's own register
    text = compose() + chance.choice((b"x-a: ${ANSWER}\n", b"", b"  # ${ANSWER}\n"))
    text = text.replace(
        b'"18081"', chance.choice((b'"${ANSWER}"', b"${ANSWER}", b"${ANSWER:?no}", b"${ANSWER:-18081}", b'"18081"')), 1
    )
    files = {
        SCENARIO: Item(data=at_scenarios(chance.choice(shipped()))), COMPOSE: Item(data=text), "fifo": Item(make=FIFO),
        "folder": Item(make=FOLDER), "program": Item(data=b"#!/bin/sh\necho '\xff 1.0'\n"), "loop": Item(make=LINK, target="loop"),
        "silent": Item(data=b"#!/bin/sh\nexit 3\n"), "state/harness/runs/x.json": Item(data=_register(chance)),
        "run/leases.jsonl": Item(data=_register(chance) + b"\n" + _register(chance)),
    }  # fmt: skip
    commands = chance.choice((
        (("validate", SCENARIO, "--json"),), (("list", "scenarios", "scenarios"),), (("list",), ("explain", "latency")),
        (("clean",),), (("clean", "--json"),), (("--help",),), (("doctor",),), (("explain", "timeline"),),
    ))  # fmt: skip
    shown = {name: value[:30] for name, value in chosen.items()}
    return Case(
        kind="", label=f"{commands[0][0]} {shown!r}", commands=commands, files=files, environment=chosen,
        names=(SCENARIO, COMPOSE, "scenarios"), codes=(0, 2, 4) if commands[0][0] in {"doctor", "clean"} else (0, 2),
    )  # fmt: skip


def _register(chance: random.Random) -> bytes:
    """An entry of the register of runs, or a lease, of a run that never was."""
    entry = {
        "format": 1,
        "run": "fuzz-never-was",
        "folder": "run",
        "runner": {"pid": 2**22 + 7, "born_s": 1.5},
        "watchdog": None,
    }
    if chance.random() < 0.5:
        entry = {"what": "process", "name": "x", "pid": 2**22 + 9, "born_s": 2.5, "undone": False, "op": "start"}
    if chance.random() < 0.3:
        return damage.spoil_text(chance, json.dumps(entry).encode())[0]
    tree, _ = damage.spoil_tree(chance, entry)
    if isinstance(tree, dict) and isinstance(tree.get("run"), str):
        tree["run"] = f"fuzz-never-was-{tree['run'][:9]}"
    return json.dumps(tree).encode()


def command_line(chance: random.Random) -> Case:
    """Words typed in any order. `run` is only given what it has to refuse."""
    names = ["validate", "judge", "report", "list", "explain", "schema"]
    options = [
        "--json",
        "--plain",
        "--set",
        "--write",
        "--to",
        "--scenario",
        "--inconclusive",
        "-h",
        "--help",
        "--version",
        "--",
    ]
    options += [
        "-k",
        "--tag",
        "--seed",
        "-j",
        "--reports",
        "--junit",
        "--backend",
        "--retry-busy",
        "--jsn",
        "-x",
        "-",
        "---",
        "-jauto",
    ]
    words = [w for w in damage.WORDS if "/dev/zero" not in w]
    things = [
        SCENARIO,
        "scenarios",
        "compose",
        COMPOSE,
        "nowhere",
        "folder",
        "faults",
        "scenario",
        "verdict",
        "latency",
        "out",
        ".",
    ]
    things += [
        "--set=load.arrivals=1",
        "--seed=x",
        "--inconclusive=pass",
        "--json=1",
        "name=x",
        "x" * 5000,
        "../" * 50,
        "/dev/null",
        "*",
    ]
    first = chance.choice(
        (*names, *names, "run", chance.choice((*words, *options, "vaildate", "doctor", "help", "bug")))
    )
    rest = [chance.choice(chance.choice((options, things, things, words))) for _ in range(chance.randrange(7))]
    if first == "run":  # nothing that exists: it must never start anything
        there = {
            SCENARIO,
            "scenarios",
            "compose",
            COMPOSE,
            "folder",
            ".",
            "/",
            "../" * 50,
            "/dev/null",
            "../../etc/passwd",
        }
        rest = ["nowhere.yaml", *(word for word in rest if word not in there)]
    if first in {"doctor", "clean"}:
        rest.append("--unknown-option")
    files = {
        SCENARIO: Item(data=at_scenarios(chance.choice(shipped()))),
        COMPOSE: Item(data=compose()),
        "folder": Item(make=FOLDER),
    }
    command = (first, *rest)
    codes = (0, 2, 4) if "--to" in rest or "--write" in rest else (0, 2)
    return Case(kind="", label=" ".join(command)[:80], commands=(command,), files=files, codes=codes)
