"""What is masked, what is not, and that masking changes nothing else."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness import secrets
from harness.secrets import MASK

HUNTER = "hunter2-tr0ub4dor"


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    secrets.forget()
    yield
    secrets.forget()


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD", "DB_PASSWORD", "PGPASSWORD", "dbPassword", "REDIS_PASS", "client-secret", "API_TOKEN", "csrftoken",
        "X-Api-Key", "apiKey", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "SIGNING_KEY", "KEY", "GOOGLE_CREDENTIALS",
        "SENTRY_DSN", "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "HTTP_AUTH", "with.order.DB_PWD",
        "PASSWORD_FILE", "SECRET_URL",
    ],
)  # fmt: skip
def test_names_that_look_secret(name: str) -> None:
    """Passwords, secrets, tokens, keys, credentials, DSNs and what authorises are known by their names."""
    assert secrets.is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "PORT", "PAYMENT_URL", "key", "Idempotency-Key", "PARTITION_KEY", "monkey", "pass", "passed", "AUTH_URL",
        "TOKEN_TIMEOUT", "AUTH_ENABLED", "author", "tokenizer", "SSH_AUTH_SOCK", "PWD", "OLDPWD", "compass", "", "-", "designed",
    ],
)  # fmt: skip
def test_names_that_only_resemble_them(name: str) -> None:
    """Time limits, addresses, business keys and words that merely contain such letters stay readable."""
    assert not secrets.is_secret_name(name)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (f"postgres://shop:{HUNTER}@db:5432/x", f"postgres://shop:{MASK}@db:5432/x"),
        (f"https://{HUNTER}@sentry.example/1", f"https://{MASK}@sentry.example/1"),
        (f"GET /pay?token={HUNTER}&x=1", f"GET /pay?token={MASK}&x=1"),
        (f"/pay?key={HUNTER}", f"/pay?key={MASK}"),
        (f"/pay?api%5Fkey={HUNTER}", f"/pay?api%5Fkey={MASK}"),
        (f"Authorization: Bearer {HUNTER}", f"Authorization: {MASK}"),
        (f"{{Authorization: Bearer {HUNTER}, X-Id: 1}}", f"{{Authorization: {MASK}, X-Id: 1}}"),
        (f"Cookie: a=1; session={HUNTER}\nHost: x", f"Cookie: {MASK}\nHost: x"),
        (f'{{"Authorization": "Bearer {HUNTER}", "a": 1}}', f'{{"Authorization": "{MASK}", "a": 1}}'),
        (f"sent Bearer {HUNTER} to it", f"sent Bearer {MASK} to it"),
        (f"serve --db-password {HUNTER} --port 1", f"serve --db-password {MASK} --port 1"),
        (f"serve --db-password={HUNTER} --port=1", f"serve --db-password={MASK} --port=1"),
        (f"with.order.DB_PASSWORD={HUNTER}", f"with.order.DB_PASSWORD={MASK}"),
        (f"  DB_PASSWORD: '{HUNTER}'", f"  DB_PASSWORD: '{MASK}'"),
        (f'  "password": "{HUNTER}",', f'  "password": "{MASK}",'),
        (f"-----BEGIN RSA PRIVATE KEY-----\n{HUNTER}\n-----END RSA PRIVATE KEY-----\nrest", f"{MASK}\nrest"),
    ],
)
def test_secrets_in_texts_are_masked_and_the_rest_stays(written: str, expected: str) -> None:
    """A text loses the secret and nothing else, wherever in it the secret stands."""
    assert secrets.text(written) == expected


@pytest.mark.parametrize(
    "written",
    [
        "order->auth: refused", "auth-service: not ready after 3 s", "http://127.77.2.1:8080/a@b", "POST /orders",
        "key: {key}", "token-bucket: half empty", "receipt fault, APPLIED", "Authorization: {token}", "Basic words",
        "git@host:path", "99.5 % of 240", "the token is the run's own", "Bearer of news",
    ],
)  # fmt: skip
def test_what_holds_no_secret_stays_as_it_is(written: str) -> None:
    """Services and faults may be called after secrets, and sentences may speak of them."""
    assert secrets.text(written) == written


@given(st.text(alphabet=st.sampled_from("pasword=:@/?&\"'\\ {}\n-tokenAuthriz;key,$"), max_size=60))
def test_masking_twice_is_masking_once(written: str) -> None:
    """What was masked by one process is left alone by the next."""
    once = secrets.text(written)

    assert secrets.text(once) == once


@pytest.mark.parametrize(
    "piece", ["password", "a.", "://", "://a:", "bearer ", "-----BEGIN PRIVATE KEY-----", "=a", "'"]
)
def test_long_texts_are_masked_in_no_time(piece: str) -> None:
    """No text, however made, takes longer than its length is worth."""
    written = "token " + piece * (200_000 // len(piece))
    begun_s = time.process_time()

    secrets.text(written)

    assert time.process_time() - begun_s < 10


def test_a_masked_text_is_still_the_yaml_it_was() -> None:
    """A masked scenario reads as the same scenario, with a mask for each secret."""
    written = f"with: {{order: {{DB_PASSWORD: {HUNTER}, PORT: 1}}}}\nurl: 'amqp://a:{HUNTER}@mq:1'\n"

    found = yaml.safe_load(secrets.text(written))

    assert found == {"with": {"order": {"DB_PASSWORD": MASK, "PORT": 1}}, "url": f"amqp://a:{MASK}@mq:1"}


def test_fields_are_masked_by_the_name_they_stand_under() -> None:
    """Whatever stands under a secret name is masked whole, numbers too; truth values and other fields stay."""
    data = {
        "DB_PASSWORD": "two words", "PIN_TOKEN": 1234, "TOKEN": True, "PORT": 80, "nested": {"secrets": [{"a": "b"}]},
        "argv": ["serve", "--password", "x", "-v", "--token=y", "API_KEY=z"],
    }  # fmt: skip

    assert secrets.fields(data) == {
        "DB_PASSWORD": MASK, "PIN_TOKEN": MASK, "TOKEN": True, "PORT": 80, "nested": {"secrets": [{"a": MASK}]},
        "argv": ["serve", "--password", MASK, "-v", f"--token={MASK}", f"API_KEY={MASK}"],
    }  # fmt: skip
    assert secrets.found_in(data) >= {"two words", "1234", "x", "y", "z", "b"}


def test_texts_in_data_are_masked_whatever_they_stand_under() -> None:
    """The states of a breaker called auth are no secrets; a URL's password is one anywhere."""
    data = {"breakers": {"auth": "CLOSED", "token": "OPEN"}, "error": f"http://a:{HUNTER}@b/ refused", "n": 3}

    assert secrets.texts(data) == {
        "breakers": {"auth": "CLOSED", "token": "OPEN"}, "error": f"http://a:{MASK}@b/ refused", "n": 3,
    }  # fmt: skip


@pytest.mark.parametrize("value", [HUNTER, 'with "quotes" \\ and ümlaut', "a b&c=d/e", "first line\nsecond-line"])
def test_a_remembered_secret_is_masked_however_it_is_written(value: str) -> None:
    """Once known, a value is masked as it is, in JSON, in a URL and in a message that quotes it."""
    from urllib.parse import quote, quote_plus

    secrets.remember([value])

    for form in (value, json.dumps({"x": value}), quote(value), quote_plus(value), repr(value)):
        masked = secrets.text(f"/log/{form} seen")
        for part in (value, json.dumps(value)[1:-1], quote(value), quote_plus(value)):
            assert part not in masked
        assert MASK in masked


def test_names_of_the_system_are_never_blotted_out() -> None:
    """A database whose password is its own name keeps its name: a journal without names could not be judged."""
    secrets.remember(["postgres", "8080", "http://auth:8080/x", "auth:80", "/usr/bin"], names=["order->postgres"])

    written = "order->postgres on 8080 at http://auth:8080/x, auth:80 in /usr/bin"
    assert secrets.text(written) == written


def test_a_short_secret_is_masked_only_where_it_is_a_word() -> None:
    """Part of a longer word is no secret."""
    secrets.remember(["orders"])

    assert secrets.text("orders, reorders") == f"{MASK}, reorders"


def test_a_private_file_is_its_owners_alone(tmp_path) -> None:
    """Whatever the umask, nobody else may read it."""
    before = os.umask(0)
    try:
        with open(tmp_path / "f", "w", opener=secrets.private_opener):
            pass
    finally:
        os.umask(before)

    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600
