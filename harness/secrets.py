"""
What others must not read: secrets are masked in everything the harness writes, and its files are their owner's alone.

Knows a secret by the name it stands under (`DB_PASSWORD`, `Authorization`), by its place in a text (`user:word@`
in a URL), or because it was met under such a name before and remembered. Processes get the real values: only
what is written down or shown passes through here. SECURITY.md says what this promises and what it cannot.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "(masked)"  # stays what it is in YAML, JSON, a URL, a header and a shell's word
_REPEATED = 4096  # names and texts whose answer is kept in mind: they come again and again
PRIVATE_FOLDER = 0o700
PRIVATE_UMASK = 0o077
SHORTEST_REMEMBERED = 6  # shorter ones would blot out words that have nothing to do with them
STANDS_ALONE_BELOW = 12  # a remembered value this short is masked only where it is a word of its own

# -- names -------------------------------------------------------------------------------------------------------

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_STRONG_ENDINGS = ("password", "passwd", "passphrase", "passcode", "pwd", "secret", "secrets", "apikey")
_STRONG = frozenset({"credential", "credentials", "creds", "dsn", "signature", "sig", "privatekey", "accesskey"})
_WEAK_ENDINGS = ("token", "tokens")
_WEAK = frozenset({"auth", "authorization", "bearer", "jwt", "cookie", "cookies", "sessionid", "jsessionid"})
_KEYS = frozenset({"key", "keys"})
_HARMLESS_KEYS = frozenset({
    "public", "sort", "partition", "routing", "primary", "foreign", "idempotency", "cache", "business", "lookup",
})  # fmt: skip
_NEVER = frozenset({
    "timeout", "ttl", "enabled", "disabled", "ms", "s", "seconds", "minutes", "hours", "limit", "size", "length",
    "count", "sock", "algorithm",
})  # fmt: skip
_FOLDERS = frozenset({"PWD", "OLDPWD"})  # of every shell
_ADDRESSES = frozenset({"url", "uri", "host", "hosts", "port", "endpoint", "server", "service"})


def is_secret_name(name: str) -> bool:
    """Whether what stands under a name looks secret: password, token, key, DSN ...; not `key` alone, nor a time-out."""
    return _strength(name) > 0


@lru_cache(_REPEATED)
def _strength(name: str) -> int:
    """2: names a secret and nothing else; 1: may also be the name of a service or an address; 0: no secret."""
    written = _WORD.findall(name)
    words = [word.lower() for word in written]
    if not words or words[-1] in _NEVER or name in _FOLDERS:
        return 0
    if any(word.endswith(_STRONG_ENDINGS) or word in _STRONG for word in words):
        return 2
    if len(words) > 1 and words[-1] == "pass":
        return 2
    if words[-1] in _ADDRESSES:
        return 0
    if any(word.endswith(_WEAK_ENDINGS) or word in _WEAK for word in words):
        return 1
    for before, word in zip(["", *words], words, strict=False):
        if word in _KEYS and before not in _HARMLESS_KEYS and (len(words) > 1 or written[0].isupper()):
            return 1
    return 0


# -- texts -------------------------------------------------------------------------------------------------------

# A text without any of these holds nothing that is looked for below: most are let through by this one look.
_HINTS = (
    "pass", "pwd", "secret", "token", "key", "cred", "auth", "dsn", "cookie", "bearer", "basic", "jwt", "sig", "session",
)  # fmt: skip
_LONGEST_KEPT = 200
_PEM = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.DOTALL)
_IN_URL = re.compile(r"""([A-Za-z][A-Za-z0-9+.-]{0,29}://)([^\s/?#:@"'<>\\]*)(:?)[^\s/?#"'<>\\]*@""")
_HEADER = re.compile(
    r"""((?<![\w-])(?:proxy-)?authorization|(?<![\w-])(?:set-)?cookie|(?<![\w-])x-api-key)"""
    r"""(\\?["']?\s*:\s*\\?["']?)(?![^"'\n]{0,40}\{[A-Za-z_][\w-]*\})([^"'\\\n\r,}\]]+)""",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(bearer|basic)(\s+)(?=\S*\d|\S*=|\S{20})[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE)
_OPTION = re.compile(r"""(?<!\S)(--?[A-Za-z][\w-]*)(\s+)(?!-)([^\s"']+|"[^"\n]*"|'[^'\n]*')""")
_ASSIGNED = re.compile(
    r"""(?P<before>[?&]?)(?<!\w)(?P<name>[A-Za-z_][\w.%\[\]-]{0,199})(?P<sign>\\?["']?\s*[:=]\s*)"""
    r"""(?P<value>\\?"(?:[^"\\\n]|\\[^"])*\\?"|"(?:[^"\\\n]|\\.)*"|'(?:[^'\n]|'')*'"""
    r"""|\$\{[^}\n]*\}[^\s&"'<>,;{}\[\]|`\\]*|[^\s&"'<>,;{}\[\]|`\\]+)"""
)


def text(written: str) -> str:
    """The text with every secret in it masked; a text without one comes back as it is."""
    if _remembered is not None:
        written = _remembered.sub(MASK, written)
    if not any(sign in written for sign in "=: \t\n"):
        return written  # such as most paths: nothing is assigned, addressed or told apart in it
    return _short(written) if len(written) <= _LONGEST_KEPT else _by_place(written)


@lru_cache(_REPEATED)
def _short(written: str) -> str:
    return _by_place(written)


def _by_place(written: str) -> str:
    """Masked by where it stands, whatever is remembered."""
    lower = written.lower()
    if not any(hint in lower for hint in _HINTS) and not ("://" in lower and "@" in lower):
        return written
    written = _PEM.sub(MASK, written)
    written = _IN_URL.sub(_without_user_info, written)
    written = _HEADER.sub(rf"\1\2{MASK}", written)
    written = _SCHEME.sub(rf"\1\2{MASK}", written)
    written = _OPTION.sub(_without_option, written)
    return _ASSIGNED.sub(_without_value, written)


def _without_user_info(found: re.Match[str]) -> str:
    """A name before the colon may stay; a word without one is as likely a token as a name."""
    scheme, user, colon = found.groups()
    return f"{scheme}{user}:{MASK}@" if colon else f"{scheme}{MASK}@"


def _without_option(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}{MASK}" if is_secret_name(found[1]) else found[0]


def _without_value(found: re.Match[str]) -> str:
    name, value = unquote(found["name"]), found["value"]
    strength = _strength(name) or int(found["before"] != "" and name.lower() in _KEYS)
    if strength == 0 or (strength == 1 and "=" not in found["sign"] and not _looks_random(value)):
        return found[0]  # `auth: refused` speaks of a service, `auth=refused` does not
    quoted = '\\"' if value.endswith('\\"') else value[0] if value[0] in "\"'" else ""
    return f"{found['before']}{found['name']}{found['sign']}{quoted}{MASK}{quoted}"


def _looks_random(value: str) -> bool:
    return len(value) >= 8 and any(character.isdigit() for character in value)


# -- data --------------------------------------------------------------------------------------------------------


def texts(data: Any) -> Any:
    """JSON-like data with every text in it masked; what it stands under is not looked at, and keys stay."""
    if isinstance(data, str):
        return text(data)
    if isinstance(data, Mapping):
        return {key: texts(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [texts(value) for value in data]
    return data


def fields(data: Any) -> Any:
    """Like texts, and what stands under a secret name is masked whole: environments, headers, bodies, commands."""
    return _fields(data, secret=False)


def _fields(data: Any, *, secret: bool) -> Any:
    if isinstance(data, Mapping):
        return {key: _fields(value, secret=secret or is_secret_name(str(key))) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_fields(value, secret=secret or option) for value, option in _behind_options(data)]
    if secret:
        return data if data is None or isinstance(data, bool) or data == "" else MASK
    if isinstance(data, str):
        name, sign, value = data.partition("=")
        return f"{name}={MASK}" if sign and value and _is_assigned(name) else text(data)
    return data


def _behind_options(words: Iterable[Any]) -> Iterator[tuple[Any, bool]]:
    """Each word of a command, and whether the one before it was `--password` or its like."""
    behind = False
    for word in words:
        yield word, behind and not (isinstance(word, str) and word.startswith("-"))
        behind = isinstance(word, str) and word.startswith("-") and "=" not in word and is_secret_name(word)


def _is_assigned(name: str) -> bool:
    return re.fullmatch(r"-{0,2}[A-Za-z_][\w.-]*", name) is not None and is_secret_name(name)


def found_in(data: Any) -> set[str]:
    """The secrets that `fields` would mask, to be remembered; passwords inside URLs included."""
    found: set[str] = set()
    _collect(data, False, found)
    return found


def _collect(data: Any, secret: bool, found: set[str]) -> None:
    if isinstance(data, Mapping):
        for key, value in data.items():
            _collect(value, secret or is_secret_name(str(key)), found)
    elif isinstance(data, list | tuple):
        for value, option in _behind_options(data):
            _collect(value, secret or option, found)
    elif data is not None and not isinstance(data, bool):
        written = str(data)
        name, sign, value = written.partition("=")
        if secret:
            found |= {written, written.partition(" ")[2]}  # the word behind `Bearer` may go about alone
        elif sign and _is_assigned(name):
            found.add(value)
        found |= {word for word in re.findall(r"://[^\s/?#:@]*:([^\s/?#]*)@", written) if word}


# -- what was met before -----------------------------------------------------------------------------------------

_known: set[str] = set()
_remembered: re.Pattern[str] | None = None


def remember(values: Iterable[str], names: Iterable[str] = ()) -> None:
    """
    From here on mask these values wherever this process writes them, however they are encoded.

    Passed over: what is too short to be told from other words, an address or path, and what is part of one of `names`
    (services, links, requests): masking those would make the journal unreadable.
    """
    global _remembered  # noqa: PLW0603  whatever this process writes must not hold them, so it is the process that knows
    taken = tuple(names)
    fresh = {
        part
        for value in values
        for part in (value, *value.splitlines())
        if len(part) >= SHORTEST_REMEMBERED and not _is_place(part) and not any(part in name for name in taken)
    }
    if fresh <= _known:
        return
    _known.update(fresh)
    forms = {form for value in _known for form in _forms(value)}
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    _remembered = re.compile("|".join(_pattern(form) for form in longest_first))


def forget() -> None:
    """Remember nothing any more."""
    global _remembered  # noqa: PLW0603  as in remember
    _known.clear()
    _remembered = None


def _is_place(value: str) -> bool:
    """A URL without a secret in it, `name:port`, or a file that exists: what AUTH or TOKEN variables often hold."""
    if value.startswith("/") and os.path.exists(value):  # noqa: PTH110  a value may be no path at all
        return True
    return (
        re.fullmatch(r"(?:[A-Za-z][\w+.-]*://)?[\w.-]+:\d{1,5}(?:/\S*)?|[A-Za-z][\w+.-]*://[^\s@]*", value) is not None
    )


def _forms(value: str) -> set[str]:
    return {value, json.dumps(value)[1:-1], repr(value)[1:-1], quote(value), quote(value, safe=""), quote_plus(value)}


def _pattern(form: str) -> str:
    escaped = re.escape(form)
    return escaped if len(form) >= STANDS_ALONE_BELOW else rf"(?<!\w){escaped}(?!\w)"


# -- files -------------------------------------------------------------------------------------------------------


def private_opener(path: str, flags: int) -> int:
    """For open(..., opener=private_opener): a file that is made by it is readable and writable by its owner alone."""
    return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o600)
