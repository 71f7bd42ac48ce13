"""What a container used is read from its control group, and never from somebody else's."""

from __future__ import annotations

import pytest

from harness.engine.usage import NOTHING, Strain, strain, used

ID = "c0ffee"


def written(folder, files):
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.mark.parametrize(
    ("cgroup", "files"),
    [
        (
            f"4:memory:/docker/{ID}\n2:cpu,cpuacct:/docker/{ID}\n",
            {
                f"cpuacct/docker/{ID}/cpuacct.usage": "2500000000\n",
                f"memory/docker/{ID}/memory.usage_in_bytes": "4096\n",
            },
        ),
        (
            f"0::/docker/{ID}\n",
            {f"docker/{ID}/cpu.stat": "usage_usec 2500000\nuser_usec 1\n", f"docker/{ID}/memory.current": "4096\n"},
        ),
    ],
    ids=["version 1", "version 2"],
)
def test_both_versions_of_control_groups_are_read(tmp_path, cgroup, files):
    """Seconds of processor and bytes of memory."""
    written(tmp_path, {"proc/42/cgroup": cgroup, **{f"sys/{path}": text for path, text in files.items()}})

    assert (2.5, 4096) == used(42, ID, groups=tmp_path / "sys", processes=tmp_path / "proc")


def test_a_pid_that_is_somebody_elses_here_tells_nothing(tmp_path):
    """The engine of another machine has its own pids; what they name on this one is no container of ours."""
    written(tmp_path, {"proc/42/cgroup": "0::/user.slice\n", "sys/user.slice/memory.current": "1\n"})

    assert NOTHING == used(42, ID, groups=tmp_path / "sys", processes=tmp_path / "proc")
    assert NOTHING == used(43, ID, groups=tmp_path / "sys", processes=tmp_path / "proc")


@pytest.mark.parametrize(
    ("cgroup", "files"),
    [
        (
            f"4:memory:/{ID}\n1:cpu:/{ID}\n",
            {
                f"cpu/{ID}/cpu.stat": "nr_throttled 10\nthrottled_time 2500000000\n",
                f"memory/{ID}/memory.failcnt": "7\n",
            },
        ),
        (
            f"0::/{ID}\n",
            {f"{ID}/cpu.stat": "usage_usec 1\nthrottled_usec 2500000\n", f"{ID}/memory.events": "high 1\nmax 7\n"},
        ),
    ],
    ids=["version 1", "version 2"],
)
def test_what_limits_kept_a_container_from_is_read(tmp_path, cgroup, files):
    """Seconds it waited for a processor, and how often memory was refused; of nobody else's groups."""
    written(tmp_path, {"proc/42/cgroup": cgroup, **{f"sys/{path}": text for path, text in files.items()}})
    places = {"groups": tmp_path / "sys", "processes": tmp_path / "proc"}

    assert Strain(throttled_s=2.5, hits=7) == strain(42, ID, **places)
    assert Strain() == strain(42, "another", **places)
