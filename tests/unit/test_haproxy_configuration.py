"""What HAProxy is told, out of an environment; and what its statistics say."""

from __future__ import annotations

import pytest

from services.haproxy.configuration import render
from services.haproxy.runtime import parsed, state_of
from services.haproxy.settings import read_settings
from services.launcher.environment import EnvironmentProblem

VALUES = {
    "HOST": "127.77.1.3",
    "NAME": "edge",
    "DATA": "/somewhere",
    "POOLS": "order user",
    "ORDER_PORT": "18082",
    "ORDER_SERVERS": "order-1=127.77.2.1:18082 order-2=127.77.2.2:18082",
    "USER_PORT": "18081",
    "USER_SERVERS": "user-1=http://127.77.2.3:18081/",
}
STATISTICS = (
    "# pxname,svname,qcur,scur,stot,econ,eresp,wretr,wredis,status,check_status,\n"
    "order,order-1,0,1,40,0,0,0,0,UP,L7OK,\n"
    "order,order-2,2,0,12,3,1,4,2,DOWN,L4CON,\n"
    "user,user-1,0,0,9,0,0,0,0,no check,,\n"
)


def rendered(**changed):
    return render(read_settings({**VALUES, **changed}))


def test_each_pool_has_a_door_and_its_instances_by_name():
    """Clients come in by the pool's port; statistics and events speak of instances by the names given."""
    text = rendered()

    assert "bind 127.77.1.3:18082" in text
    assert "bind 127.77.1.3:18081" in text
    assert "server order-2 127.77.2.2:18082" in text
    assert "server user-1 127.77.2.3:18081" in text


def test_the_runtime_api_is_on_loopback_only():
    """Where the service listens everywhere, its runtime API does not."""
    assert "stats socket ipv4@127.77.1.3:8405" in rendered()
    assert "stats socket ipv4@127.0.0.1:8405" in rendered(HOST="0.0.0.0")


def test_without_redispatch_nothing_is_tried_again():
    """Redispatch off means that the first failure is the client's."""
    text = rendered(REDISPATCH="off")

    assert "retries 0" in text
    assert "no option redispatch" in text
    assert "retry-on" not in text


def test_only_named_methods_are_sent_again():
    """What is not safe to repeat is not repeated unless somebody says that it is."""
    assert "disable-l7-retry unless { method GET HEAD }" in rendered()
    assert "disable-l7-retry unless { method GET POST }" in rendered(RETRY_METHODS="GET POST")


def test_connections_are_bounded_only_where_it_is_said():
    """A bound on connections to an instance puts the others in a queue; 0 is no bound."""
    assert "maxconn 8" in rendered(CONNECTIONS_PER_SERVER="8").partition("backend order")[2]
    assert "maxconn" not in rendered().partition("backend order")[2]


def test_backups_stand_behind_the_others():
    """A backup is asked only when no other instance is up."""
    assert "server far 127.77.2.9:18082 backup" in rendered(ORDER_BACKUPS="far=127.77.2.9:18082")


def test_every_mistake_is_said_at_once():
    """Whoever starts it learns of all wrong values in one go, each by its name."""
    with pytest.raises(EnvironmentProblem) as caught:
        read_settings({"POOLS": "order", "ORDER_SERVERS": "order-1", "CHECK_FALL": "0", "REDISPATCH": "maybe"})

    for name in ("ORDER_SERVERS", "ORDER_PORT", "CHECK_FALL", "REDISPATCH"):
        assert name in str(caught.value)


def test_an_instance_has_one_name():
    """Two instances of one name could not be told apart in any event."""
    with pytest.raises(EnvironmentProblem, match="order-1 is there twice"):
        read_settings({**VALUES, "ORDER_SERVERS": "order-1=a:1 order-1=b:1"})


def test_statistics_are_read_by_the_names_of_their_columns():
    """Whatever columns another version adds, states and counts are found."""
    found = parsed(STATISTICS)

    assert {"order-1": "up", "order-2": "down", "user-1": "up"} == {name: one["state"] for name, one in found.items()}
    assert (3, 4, 2, 2) == tuple(found["order-2"][k] for k in ("connect_errors", "retries", "redispatched", "queued"))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("UP", "up"),
        ("UP 1/2", "up"),
        ("DOWN 1/2", "down"),
        ("MAINT (via x)", "maint"),
        ("DRAIN", "drain"),
        ("", "down"),
    ],
)
def test_a_state_is_one_of_four(status, expected):
    """A server on its way down is still asked, one on its way up is not yet."""
    assert expected == state_of(status)


def test_what_is_no_statistics_is_told():
    """An error of the runtime API is no list of servers."""
    with pytest.raises(ValueError, match="no statistics"):
        parsed("Unknown command")
