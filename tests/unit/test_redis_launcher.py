"""How Redis and Sentinel are started, and what is read of their answers."""

from __future__ import annotations

import io

import pytest

from services.launcher.environment import EnvironmentProblem
from services.redis.configuration import node_words, sentinel_file
from services.redis.protocol import RedisError, decoded, encoded, sections
from services.redis.settings import read_node, read_sentinel


def test_a_cache_keeps_nothing_and_lets_the_least_used_go():
    """A cache that is full makes room, and is not written to a disk."""
    words = " ".join(node_words(read_node({"HOST": "127.77.1.4"})))

    assert "--appendonly no" in words
    assert "allkeys-lru" in words


def test_a_store_keeps_everything():
    """What keeps data refuses what it has no room for."""
    words = " ".join(node_words(read_node({"KEEPS": "on"})))

    assert "--appendonly yes" in words
    assert "noeviction" in words


def test_a_replica_knows_its_primary_and_tells_its_own_address():
    """Whoever reads the primary's list of replicas finds an address that works."""
    words = node_words(read_node({"REPLICA_OF": "127.77.2.8:6379", "ANNOUNCED": "127.77.1.5:6379"}))

    assert words[-3:] == ["--replicaof", "127.77.2.8", "6379"]
    assert words[words.index("--replica-announce-ip") + 1] == "127.77.1.5"


def test_a_sentinel_needs_somebody_to_watch():
    """Without a primary there is nothing to do, and it says so."""
    with pytest.raises(EnvironmentProblem, match="MONITOR is not set"):
        read_sentinel({})


def test_a_sentinel_is_told_quorum_and_patience():
    """Quorum and the time until a silent primary counts as gone come from the environment."""
    text = sentinel_file(read_sentinel({"MONITOR": "127.77.1.4:6379", "QUORUM": "3", "DOWN_AFTER": "300ms"}))

    assert "sentinel monitor cache 127.77.1.4 6379 3" in text
    assert "down-after-milliseconds cache 300" in text


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"+OK\r\n", "OK"),
        (b":42\r\n", 42),
        (b"$5\r\nhello\r\n", "hello"),
        (b"$-1\r\n", None),
        (b"*2\r\n$4\r\nhost\r\n$4\r\n6379\r\n", ["host", "6379"]),
    ],
)
def test_an_answer_is_read_as_what_it_is(answer, expected):
    """Each kind of answer of the protocol becomes plain data."""
    assert expected == decoded(io.BytesIO(answer))


def test_an_error_is_raised_and_half_an_answer_is_none():
    """Redis's refusals and broken connections are told apart."""
    with pytest.raises(RedisError, match="READONLY"):
        decoded(io.BytesIO(b"-READONLY no writes here\r\n"))
    with pytest.raises(ConnectionError):
        decoded(io.BytesIO(b"$5"))


def test_a_question_is_sent_as_the_protocol_has_it():
    """Words are counted in bytes."""
    assert encoded("GET", "ü") == b"*2\r\n$3\r\nGET\r\n$2\r\n\xc3\xbc\r\n"


def test_info_is_keys_and_values():
    """Headlines of sections are no keys."""
    assert {"role": "master", "connected_slaves": "1"} == sections(
        "# Replication\r\nrole:master\r\nconnected_slaves:1\r\n"
    )
