"""Short forms of `make fuzz`: a few hundred malformed inputs and hostile streams, always the same ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT_S = 300.0

pytestmark = pytest.mark.system


def fuzz(program, *arguments):
    command = [sys.executable, str(ROOT / "fuzz" / program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def test_three_hundred_malformed_inputs_are_refused_with_their_place(tmp_path):
    """No traceback, no exit code 5, never more than 5 s or 500 MB, and the file named that is at fault."""
    done = fuzz("inputs.py", "--cases", "300", "--seed", "7", "--jobs", "1", "--save", str(tmp_path))

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_two_hundred_hostile_streams_pass_or_are_closed(tmp_path):
    """Byte for byte, or closed as the other end closed it, and every answer where its request stood."""
    done = fuzz("gate.py", "--streams", "200", "--seed", "7", "--reports", str(tmp_path))

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert json.loads((tmp_path / "fuzz.json").read_text("utf-8"))["figures"]["gate"]["streams"] == 200


def test_the_stream_fuzzer_notices_answers_that_stand_in_the_wrong_place():
    """A fuzzer that always says well proves nothing: with the gate answering what it should pass, it fails."""
    spoilt = "import gate, sys; gate.GATE_FAULTS[gate.ANSWERING]['path'] = gate.PASSED + '*'; sys.exit(gate.main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", spoilt, "--seed", "7", "--streams", "12"],
        capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd=ROOT / "fuzz",
    )  # fmt: skip

    assert done.returncode == 1, done.stdout[-2000:]
    assert "no answer to" in done.stdout


def test_a_case_that_never_ends_is_told_and_the_others_go_on(tmp_path):
    """It is killed once it has had its time of a processor; what it waited for one does not count."""
    hanging = (
        "import guard, inputs, os, sys, time; guard.HANG_S = guard.PROCESS_LIMIT_S = 1.0; make, ours = inputs.make, os.getpid();"
        "inputs.make = lambda *case: time.sleep(90) if os.getpid() != ours and case[1] == 'bomb' else make(*case);"
        "sys.exit(inputs.main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", hanging, "--seed", "7", "--cases", "10", "--jobs", "1", "--save", str(tmp_path)],
        capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd=ROOT / "fuzz",
    )  # fmt: skip

    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert done.stdout.count("hung for") == 1
    assert '"failed": 1' in done.stdout
