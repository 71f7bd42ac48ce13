"""
Hostile HTTP streams through a real gate process, to an upstream that follows a script.

    python fuzz/gate.py --streams 10000 --seed 1
    python fuzz/gate.py --seed 1 --only 4711

Every byte has to arrive as it was sent, or the connection to be closed as the other end closed it; every answer has to
stand where its request stood; the gate's memory, files and connections have to be where they were. Prints a table by
mode and a JSON line; exits 1 when anything was wrong. --only plays one stream again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import pages
import psutil
import streams
from streams import ABORTING, ANSWERING, DECIDING, FAULTED, PASSED, PLAIN, RAW, Sound, Stream

from harness.journal.spool import COLUMNS, SpoolReader
from harness.links.gate_client import GateClient

HOST = "127.88.8.1"
TOKEN = "of this run"
LIMIT_S = 10.0  # for anything that has to happen
ENDED, RESET = "ended", "reset"
LINKS = (PLAIN, PLAIN, DECIDING, DECIDING, ANSWERING, ANSWERING, ABORTING, RAW)  # one mode each
GATE_FAULTS = {
    DECIDING: {"kind": "delay", "delay_ms": 2, "share": 0.2, "seed": 1, "path": f"{PASSED}*"},
    ANSWERING: {"kind": "status", "status": 503, "body": "faulted", "path": f"{FAULTED}*"},
    ABORTING: {"kind": "abort", "path": f"{FAULTED}*"},
}
LOOK_EVERY = 100  # streams between two looks at the gate's memory
MOST_GROWTH_MB = 12.0  # of resident memory between the second and the last quarter of the run
_OWN_HEAD = re.compile(rb"HTTP/1\.1 503 [^\r]*\r\n(?:[^\r\n]+\r\n)*?content-length: (\d+)\r\n(?:[^\r\n]+\r\n)*\r\n")


# -- both ends -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class End:
    """One socket of ours, what it received, and how the other side ended it."""

    connection: socket.socket
    received: bytearray = field(default_factory=bytearray)
    over: str = ""
    reader: asyncio.Task | None = None

    async def read_on(self, more: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        while not self.over:
            try:
                piece = await loop.sock_recv(self.connection, 1 << 16)
            except OSError:
                self.over = RESET
            else:
                self.over = "" if piece else ENDED
                self.received += piece
            more.set()

    async def send(self, data: bytes) -> bool:
        """False when the other side has closed."""
        try:
            await asyncio.get_running_loop().sock_sendall(self.connection, data)
        except OSError:
            return False
        return True

    async def end(self, how: str) -> None:
        """Half-close, close or reset. Nobody may be sending."""
        if how == "eof":
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_WR)
            return
        if self.reader is not None:
            self.reader.cancel()
            await asyncio.gather(self.reader, return_exceptions=True)
        await asyncio.sleep(0)  # the loop forgets the socket's number, which the next socket may get
        with contextlib.suppress(OSError):
            if how == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class Play:
    """One stream through one link."""

    def __init__(self, stream: Stream, client: End, upstream: End) -> None:
        self.stream = stream
        self.client, self.upstream = client, upstream
        self.more_up, self.more_down = asyncio.Event(), asyncio.Event()
        self.wrong: list[str] = []
        self.sent_all = False
        self.own_answers = stream.mode in {ANSWERING, ABORTING}
        self.passing = [one for one in stream.sound if not (self.own_answers and one.faulted)]
        self.up = b"".join(one.request for one in self.passing) + stream.hostile
        self.down = b"".join(one.answer for one in self.passing) + stream.tail
        self.aborted = stream.mode == ABORTING and any(one.faulted for one in stream.sound)
        if self.aborted:
            place = next(n for n, one in enumerate(stream.sound) if one.faulted)
            self.down = b"".join(one.answer for one in stream.sound[:place])
        self.answered = False  # the upstream has said all it has to say

    async def run(self) -> None:
        self.client.reader = asyncio.create_task(self.client.read_on(self.more_down))
        self.upstream.reader = asyncio.create_task(self.upstream.read_on(self.more_up))
        answering = asyncio.create_task(self._answer())
        try:
            await self._ask()
            await self._finish()
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            for end in (self.client, self.upstream):
                await end.end("reset")

    async def _ask(self) -> None:
        for pause_s, piece in self.stream.pieces:
            if pause_s:
                await asyncio.sleep(pause_s)
            if not await self.client.send(piece):
                return
        self.sent_all = True

    async def _answer(self) -> None:
        """The upstream: each sound request is answered when it is wholly there."""
        needed = 0
        for one in self.passing:
            needed += len(one.request)
            await _until(
                lambda needed=needed: len(self.upstream.received) >= needed or self.upstream.over, self.more_up
            )
            if len(self.upstream.received) < needed or not await self._say(one.answer):
                return
        await self._say(self.stream.tail)
        self.answered = True
        if self.stream.upstream_first and not self.aborted:
            await self.upstream.end(self.stream.upstream_ends)
            if self.stream.upstream_ends != "eof":
                self.upstream.over = self.upstream.over or "closed by itself"
        self.more_up.set()

    async def _say(self, data: bytes) -> bool:
        size = min(self.stream.answer_cuts, max(1, len(data)))
        if len(data) > 3000:
            size = max(size, 1000)
        for start in range(0, len(data), size):
            if not await self.upstream.send(data[start : start + size]):
                return False
        return True

    async def _finish(self) -> None:
        """Wait for the answers, end it as the stream says, see that both ends hear of it, compare."""
        stream = self.stream
        broken_off = stream.upstream_first and stream.upstream_ends != "eof"  # by the upstream, before its time
        if not await _within(lambda: self._has_its_answers() or bool(self.client.over), self.more_down):
            self._say_wrong(f"no more answers after {len(self.client.received)} bytes of {len(self.down)}")
        if not self.aborted and not broken_off:
            await self.client.end(stream.client_ends)
            if not await _within(lambda: bool(self.upstream.over), self.more_up):
                self._say_wrong("the upstream never heard that the client had ended")
        if stream.client_ends == "eof" or self.aborted or broken_off:
            await self.upstream.end(stream.upstream_ends if not self.aborted else "eof")
            if not await _within(lambda: bool(self.client.over), self.more_down):
                self._say_wrong("the client never heard that the upstream had ended")
        self._compare(
            all_up=not self.aborted and not broken_off and stream.client_ends != "reset", all_down=not broken_off
        )

    def _has_its_answers(self) -> bool:
        if self.own_answers and not self.aborted:
            return self._paired() is None
        return not self.aborted and len(self.client.received) >= len(self.down)

    def _compare(self, *, all_up: bool, all_down: bool) -> None:
        got_up, got_down = bytes(self.upstream.received), bytes(self.client.received)
        if not self.up.startswith(got_up) or (all_up and got_up != self.up):
            self._say_wrong(f"upstream got {_difference(got_up, self.up)}")
        if self.own_answers and not self.aborted:
            if all_down and (reason := self._paired()) is not None:
                self._say_wrong(reason)
        elif not self.down.startswith(got_down) or (all_down and not self.aborted and got_down != self.down):
            self._say_wrong(f"client got {_difference(got_down, self.down)}")

    def _paired(self) -> str | None:
        """Whether every answer stands where its request stood: None, or what is wrong."""
        left = bytes(self.client.received)
        for one in self.stream.sound:
            size = _own_answer(left, one) if one.faulted else len(one.answer) if left.startswith(one.answer) else None
            if size is None:
                return f"no answer to {one.ident} ({'faulted' if one.faulted else 'passed'}) at {left[:80]!r}"
            left = left[size:]
        return f"{len(left)} bytes too many: {left[:80]!r}" if left else None

    def _say_wrong(self, what: str) -> None:
        self.wrong.append(what)


def _own_answer(data: bytes, one: Sound) -> int | None:
    """The size of the gate's own answer at the head of data."""
    found = _OWN_HEAD.match(data)
    if found is None or int(found.group(1)) != len(b"faulted"):
        return None
    if one.method == "HEAD":
        return found.end()
    return found.end() + 7 if data[found.end() : found.end() + 7] == b"faulted" else None


def _difference(got: bytes, wanted: bytes) -> str:
    place = next((n for n, (a, b) in enumerate(zip(got, wanted, strict=False)) if a != b), min(len(got), len(wanted)))
    return f"{len(got)} bytes of {len(wanted)}, different at {place}: {got[place : place + 40]!r}, not {wanted[place : place + 40]!r}"


async def _until(holds, changed: asyncio.Event) -> None:
    while not holds():
        changed.clear()
        await changed.wait()


async def _within(holds, changed: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(LIMIT_S):
            await _until(holds, changed)
    except TimeoutError:
        return False
    return True


# -- the gate ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Link:
    name: str
    mode: str
    listen: tuple[str, int]
    upstream: socket.socket


class Gate:
    """A gate process with the links of all modes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / "gate.jsonl"
        ports = _free_ports(len(LINKS) + 1)
        self.links = [
            Link(f"{mode}-{n}->up", mode, (HOST, port), _listener())
            for n, (mode, port) in enumerate(zip(LINKS, ports[1:], strict=True))
        ]
        entries = [
            {
                "name": one.name,
                "listen": one.listen,
                "upstream": one.upstream.getsockname(),
                "protocol": "raw" if one.mode == RAW else "auto",
            }
            for one in self.links
        ]
        control = (HOST, ports[0])
        config = {"token": TOKEN, "control": control, "spool": str(self.spool), "lifeline": True, "links": entries}
        (folder / "gate.json").write_text(json.dumps(config), "utf-8")
        self.errors = (folder / "stderr").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "harness.links.gate", str(folder / "gate.json")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
        )  # fmt: skip
        said = json.loads(self.process.stdout.readline())
        assert said == {"event": "ready"}, said
        self.client = GateClient(*control, TOKEN)
        for link in self.links:
            if link.mode in GATE_FAULTS:
                self.client.fault_on("fuzz", link.name, GATE_FAULTS[link.mode])
        self.watched = psutil.Process(self.process.pid)

    def resident_mb(self) -> float:
        return self.watched.memory_info().rss / 1e6

    def at_rest(self) -> list[str]:
        """What should be gone when every stream is over, and is not; waits a little for it."""
        until_s = time.monotonic() + LIMIT_S
        while True:
            status = self.client.status()
            found = [
                f"{name}: {link['connections_open']} connections open, {link['in_flight']} exchanges in flight"
                for name, link in status["links"].items()
                if link["connections_open"] or link["in_flight"]
            ]
            if not found or time.monotonic() > until_s:
                return found + ([f"rows lost: {status['rows_lost']}"] if status["rows_lost"] else [])
            time.sleep(0.05)

    def close(self) -> list[str]:
        """End it as a runner that is gone would; what it said or did wrong in its end."""
        self.process.stdin.close()
        try:
            code = self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        self.errors.close()
        for link in self.links:
            link.upstream.close()
        said = (self.folder / "stderr").read_text("utf-8", "replace")
        return [f"the gate ended with exit code {code} and said {said[-2000:]!r}"] if code or said else []


def _listener() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    return listener


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


# -- all streams ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Result:
    """What a whole run came to."""

    wrong: list[str] = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)
    sound: Counter = field(default_factory=Counter)
    failed: Counter = field(default_factory=Counter)
    resident_mb: list[float] = field(default_factory=list)
    complete: dict[str, Sound] = field(default_factory=dict)  # answered before anybody ended anything
    known: dict[str, tuple[str, Sound]] = field(default_factory=dict)
    rows: int = 0


async def _drive(link: Link, wanted: list[tuple[int, Stream]], gate: Gate, result: Result) -> None:
    loop = asyncio.get_running_loop()
    for number, stream in wanted:
        client = socket.socket()
        client.setblocking(False)
        try:
            async with asyncio.timeout(LIMIT_S):
                await loop.sock_connect(client, link.listen)
                upstream, _ = await loop.sock_accept(link.upstream)
        except (OSError, TimeoutError) as error:
            result.wrong.append(f"stream {number}: no connection through {link.name}: {error!r}")
            client.close()
            return
        for end in (client, upstream):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        play = Play(stream, End(client), End(upstream))
        await play.run()
        _note(number, play, gate, result)


def _note(number: int, play: Play, gate: Gate, result: Result) -> None:
    stream = play.stream
    result.counts[stream.mode] += 1
    result.sound[stream.mode] += len(stream.sound)
    for one in stream.sound:
        result.known[one.ident] = (stream.mode, one)
        if not play.wrong and not play.aborted and not stream.upstream_first and stream.client_ends == "eof":
            result.complete[one.ident] = one
    if play.wrong:
        result.failed[stream.mode] += 1
        text = (
            f"stream {number} ({stream.label}; {stream.client_ends}, {stream.upstream_ends}): {'; '.join(play.wrong)}"
        )
        result.wrong.append(text)
        print(f"FAILED {text}"[:700], flush=True)
    if sum(result.counts.values()) % LOOK_EVERY == 0:
        result.resident_mb.append(gate.resident_mb())


async def _drive_all(gate: Gate, numbered: Iterable[tuple[int, Stream]], result: Result) -> None:
    by_mode: dict[str, list[tuple[int, Stream]]] = defaultdict(list)
    for number, stream in numbered:
        by_mode[stream.mode].append((number, stream))
    async with asyncio.TaskGroup() as tasks:
        for mode, wanted in by_mode.items():
            links = [link for link in gate.links if link.mode == mode]
            for place, link in enumerate(links):
                tasks.create_task(_drive(link, wanted[place :: len(links)], gate, result))


def _read_log(gate: Gate, result: Result) -> None:
    """What the gate wrote down: each sound request once, with the status of its own answer."""
    seen: Counter = Counter()
    for table, values in SpoolReader(gate.spool).rows():
        row = dict(zip(COLUMNS[table], values, strict=True))
        if table != "wire" or not str(row["path"]).startswith((PASSED, FAULTED)):
            continue
        ident = str(row["path"]).split("/")[-1]
        result.rows += 1
        if ident not in result.known:
            continue
        mode, one = result.known[ident]
        status = 503 if one.faulted and mode == ANSWERING else one.status
        seen[ident] += 1
        if row["ending"] == "answered" and row["status"] != status:
            result.wrong.append(f"{ident} ({mode}): the log says status {row['status']}, its answer was {status}")
        elif ident in result.complete and (row["ending"], row["status"]) != ("answered", status):
            result.wrong.append(
                f"{ident} ({mode}): the log says {row['ending']} {row['status']}, it was answered {status}"
            )
    for ident, count in seen.items():
        if count > 1:
            result.wrong.append(f"{ident}: {count} rows in the log")
    for ident in result.complete:
        if not seen[ident] and result.known[ident][0] != RAW:
            result.wrong.append(f"{ident} ({result.known[ident][0]}): not in the log")


def _growth_mb(resident_mb: list[float]) -> float:
    quarter = len(resident_mb) // 4
    if quarter < 2:
        return 0.0
    return max(resident_mb[-quarter:]) - max(resident_mb[quarter : 2 * quarter])


def run(numbers: Iterable[int], seed: int) -> Result:
    """Play these streams and look at everything afterwards."""
    result = Result()
    with tempfile.TemporaryDirectory(prefix="fuzz-gate-") as folder:
        gate = Gate(Path(folder))
        files_before = gate.watched.num_fds()
        try:
            asyncio.run(_drive_all(gate, ((number, streams.stream(seed, number)) for number in numbers), result))
            result.wrong += gate.at_rest()
            files = gate.watched.num_fds() - files_before
            if files > 4:
                result.wrong.append(f"{files} files more are open than before")
        except (OSError, psutil.Error) as error:
            result.wrong.append(f"the gate is gone: {error!r}")
        finally:
            result.wrong += gate.close()
        _read_log(gate, result)
    growth_mb = _growth_mb(result.resident_mb)
    if growth_mb > MOST_GROWTH_MB:
        result.wrong.append(f"memory grew by {growth_mb:.1f} MB from the second quarter to the last")
    return result


def _table(result: Result) -> str:
    lines = [f"{'mode':<10}  {'streams':>7}  {'sound requests':>14}  {'failed':>6}"]
    for mode in dict.fromkeys(LINKS):
        counts = (result.counts[mode], result.sound[mode], result.failed[mode])
        lines.append("{:<10}  {:>7}  {:>14}  {:>6}".format(mode, *counts))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="play the stream of this number alone")
    parser.add_argument("--reports", type=Path, help="where fuzz.json and fuzz.md take in the figures")
    options = parser.parse_args(arguments)
    start = time.monotonic()
    result = run([options.only] if options.only is not None else range(options.streams), options.seed)
    table = _table(result)
    print(table)
    print("\n".join(result.wrong[:40]))
    told = {
        "streams": sum(result.counts.values()), "seed": options.seed, "wrong": len(result.wrong), "sound_requests": sum(result.sound.values()),
        "rows_checked": result.rows, "seconds": round(time.monotonic() - start, 1), "growth_mb": round(_growth_mb(result.resident_mb), 1),
        "resident_mb": [round(value) for value in result.resident_mb[:: max(1, len(result.resident_mb) // 10)]],
    }  # fmt: skip
    print(json.dumps(told))
    if options.reports:
        pages.write(pages.GATE, told, table, options.reports)
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
