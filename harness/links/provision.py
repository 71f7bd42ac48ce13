"""
Where the Toxiproxy server comes from: PATH, the user's cache, `go install`, or its release archive.

Whatever is found is run once to see that it is the version this program was
made for. What was tried and failed is told all at once, with the ways out.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import platform
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.errors import SetUpError

TOXIPROXY_VERSION = "2.12.0"
PROGRAM = "toxiproxy-server"
OVERRIDE = "HARNESS_TOXIPROXY"
URL_OVERRIDE = "HARNESS_TOXIPROXY_URL"
RELEASES = f"https://github.com/Shopify/toxiproxy/releases/download/v{TOXIPROXY_VERSION}"
SHA_256 = {
    "linux_amd64": "65e042d3fc2290c099527bc506446a6fd863a09f113b8944b636ece70221c2b3",
    "linux_arm64": "ab417dafc77ae8b54ec8461cc5da5180d0465a61dcbda86c72da72ee4ab843b7",
    "darwin_amd64": "52ac1f99d7204b4b523f910b791bc86318b50ef94822c79a6157606704003ced",
    "darwin_arm64": "cece3905c06ad84d6b3bb4cd024c344e6466736b2a8cbaf9ef4fe45e62aba9b2",
}
_MODULE = "github.com/Shopify/toxiproxy/v2"
VERSION_LIMIT_S = 10.0
BUILD_LIMIT_S = 600.0
DOWNLOAD_LIMIT_S = 60.0  # of silence
ARCHIVE_LIMIT_BYTES = 64 * 1024 * 1024


class _Unfit(Exception):
    """One way did not lead there; the others are tried."""


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The user's own folder for this version of the server."""
    base = environment.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  may lack a home
    return Path(base) / "harness" / f"toxiproxy-{TOXIPROXY_VERSION}"


def find_toxiproxy(cache: Path, environment: Mapping[str, str]) -> Path | None:
    """The server where it may be already, of the right version: HARNESS_TOXIPROXY, PATH, the cache. Makes nothing."""
    return _find(cache, environment, [])


def provide_toxiproxy(
    say: Callable[[str], None],
    environment: Mapping[str, str] = os.environ,
    *,
    checksums: Mapping[str, str] = SHA_256,
) -> Path:
    """The server, got in the first way that works. Raises SetUpError that lists every way tried."""
    failures: list[str] = []
    cache = cache_folder(environment)
    if (found := _find(cache, environment, failures)) is not None:
        return found
    target = cache / PROGRAM
    ways: dict[str, Callable[[Path], Path]] = {
        "go install": lambda folder: _build(folder, environment),
        "release archive": lambda folder: _download(folder, environment, checksums),
    }
    for way, get in ways.items():
        say(f"Toxiproxy {TOXIPROXY_VERSION} is not here yet: trying {way} (once; it is kept in {cache})")
        try:
            with _workplace(cache) as folder:
                made = get(folder)
                _must_fit(made)
                made.replace(target)
        except (_Unfit, OSError, http.client.HTTPException, tarfile.TarError) as error:
            failures.append(f"{way}: {error}")
            continue
        return target
    raise SetUpError(
        f"no Toxiproxy server {TOXIPROXY_VERSION}; tried\n" + "\n".join(f"  {failure}" for failure in failures),
        hint=f"any one of: put {PROGRAM} {TOXIPROXY_VERSION} on PATH; set {OVERRIDE}=/path/to/{PROGRAM}; install Go; "
        f"set {URL_OVERRIDE} to a mirror of {RELEASES}",
    )


def _find(cache: Path, environment: Mapping[str, str], failures: list[str]) -> Path | None:
    if wanted := environment.get(OVERRIDE):
        try:
            return _must_fit(Path(wanted))
        except _Unfit as error:
            raise SetUpError(
                f"{OVERRIDE}={wanted}: {error}",
                hint=f"name a {PROGRAM} of version {TOXIPROXY_VERSION}, or unset {OVERRIDE}",
            ) from error
    on_path = shutil.which(PROGRAM, path=environment.get("PATH", os.defpath))
    for where, candidate in (("PATH", on_path and Path(on_path)), ("cache", cache / PROGRAM)):
        if not candidate or not os.path.isfile(candidate):  # noqa: PTH113  pathlib's raises for a name too long
            failures.append(f"{where}: no {PROGRAM}" + ("" if where == "PATH" else f" in {cache}"))
            continue
        try:
            return _must_fit(candidate)
        except _Unfit as error:
            failures.append(f"{where}: {candidate}: {error}")
    return None


def _must_fit(binary: Path) -> Path:
    """Run it to see its version."""
    try:
        answer = subprocess.run(
            [binary, "-version"], capture_output=True, timeout=VERSION_LIMIT_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _Unfit(f"cannot be run: {error}") from error
    words = answer.stdout.decode("utf-8", "replace").split()
    if answer.returncode != 0 or TOXIPROXY_VERSION not in words:
        said = " ".join(words)[:200] or answer.stderr.decode("utf-8", "replace").strip()[:200]
        raise _Unfit(f"is not version {TOXIPROXY_VERSION}; -version said {said!r}")
    return binary


@contextmanager
def _workplace(cache: Path) -> Iterator[Path]:
    """A folder beside the target, so that what is made in it can be moved there in one step."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="making-", dir=cache, ignore_cleanup_errors=True) as name:
        yield Path(name)


def _build(folder: Path, environment: Mapping[str, str]) -> Path:
    go = shutil.which("go", path=environment.get("PATH", os.defpath))
    if go is None:
        raise _Unfit("there is no Go on PATH")
    kept = {key: value for key, value in environment.items() if key not in ("GOOS", "GOARCH")}
    command = [
        go, "install", "-ldflags", f"-X {_MODULE}.Version={TOXIPROXY_VERSION}",
        f"{_MODULE}/cmd/server@v{TOXIPROXY_VERSION}",
    ]  # fmt: skip
    with (folder / "build.log").open("w+b") as log:
        # A session of its own, so that the compilers can be ended together with it.
        build = subprocess.Popen(
            command,
            env={**kept, "CGO_ENABLED": "0", "GOBIN": str(folder)},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, start_new_session=True,
        )  # fmt: skip
        try:
            code = build.wait(BUILD_LIMIT_S)
        except subprocess.TimeoutExpired as error:
            raise _Unfit(f"not finished after {BUILD_LIMIT_S:g} s") from error
        finally:
            if build.poll() is None:
                os.killpg(build.pid, signal.SIGKILL)
                build.wait()
        log.seek(0)
        said = log.read().decode("utf-8", "replace").strip().splitlines()
    if code != 0:
        raise _Unfit(f"ended with {code}: {' | '.join(said[-3:])}")
    return folder / "server"


def platform_name() -> str:
    """This machine as the release archives name it: `linux_amd64`."""
    machine = platform.machine().lower()
    return f"{sys.platform}_{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine, machine) }"


def _download(folder: Path, environment: Mapping[str, str], checksums: Mapping[str, str]) -> Path:
    name = platform_name()
    if name not in checksums:
        raise _Unfit(f"there is none with a known checksum for {name}; known: {', '.join(sorted(checksums))}")
    base = environment.get(URL_OVERRIDE) or RELEASES
    url = f"{base.rstrip('/')}/toxiproxy_{TOXIPROXY_VERSION}_{name}.tar.gz"
    archive = folder / "archive.tar.gz"
    try:
        found = _fetch(url, archive)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _Unfit(f"{url}: {error}") from error
    if found != checksums[name]:
        raise _Unfit(f"{url}: its SHA-256 is {found}, must be {checksums[name]}; not used")
    return _unpack(archive, folder / PROGRAM)


def _fetch(url: str, target: Path) -> str:
    """Bring url into target; returns the SHA-256 of what came."""
    if not url.startswith(("https://", "http://")):
        raise ValueError("neither https:// nor http://")
    digest, size = hashlib.sha256(), 0
    with urllib.request.urlopen(url, timeout=DOWNLOAD_LIMIT_S) as answer, target.open("wb") as file:  # noqa: S310
        while piece := answer.read(1 << 16):
            size += len(piece)
            if size > ARCHIVE_LIMIT_BYTES:
                raise ValueError(f"larger than {ARCHIVE_LIMIT_BYTES} bytes")
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def _unpack(archive: Path, target: Path) -> Path:
    """Take the server, and nothing else, out of the archive."""
    with tarfile.open(archive) as tar:
        for member in tar:
            source = tar.extractfile(member) if member.isfile() and Path(member.name).name == PROGRAM else None
            if source is not None:
                with source, target.open("wb") as file:
                    shutil.copyfileobj(source, file)
                target.chmod(0o755)
                return target
        raise _Unfit(f"there is no {PROGRAM} in the archive; it holds {', '.join(tar.getnames()[:5])}")
