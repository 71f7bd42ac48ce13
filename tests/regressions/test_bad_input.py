"""Malformed input that once crashed the harness, kept it busy for minutes, or was blamed on nobody."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest
from unit.journals import LATENCY, LEDGER, Run, scenario, shop

from harness.cli.doctor import folder
from harness.drill.file import load_drill
from harness.errors import InputError
from harness.journal import FILE_NAME
from harness.journal.reader import JournalReader
from harness.judge import judge
from harness.links.provision import cache_folder, find_toxiproxy
from harness.report.html import report_html
from harness.report.verdict_file import load_verdict
from harness.run.registry import entry_paths
from harness.scenario.file import load_scenario
from harness.suite import find
from harness.system.document import MOST_NODES, read_document
from harness.system.text import LARGEST_BYTES, read_text
from harness.units import duration_s, rate_per_s, share, size_bytes
from harness.verdict import Verdict

SCENARIO = "name: x\nsystem: shop.yaml\nload: {users: 2, locustfile: locustfile.py}\ntimeline: [{steady: 3s}]\n"


def refused(text):
    with pytest.raises(InputError) as caught:
        read_document(text, "one.yaml")
    return caught.value.mistakes


@pytest.mark.parametrize("system", ["''", "' '"])
@pytest.mark.parametrize("read", [load_scenario, load_drill])
def test_a_system_that_names_nothing_is_a_mistake_with_its_line(tmp_path, read, system):
    """An empty path was refused with exit code 2 and not a word."""
    (tmp_path / "one.yaml").write_text(
        f"name: x\nsystem: {system}\nload: {{profile: checkout, arrivals: 30/s}}\n"
        "timeline: [{steady: 4s}]\nexpect: [{availability: {at_least: 95%}}]\n"
    )
    with pytest.raises(InputError) as caught:
        read(tmp_path / "one.yaml")

    assert 2 in [mistake.line for mistake in caught.value.mistakes]
    assert "one.yaml:2: system is" in str(caught.value)


# -- YAML


def test_a_mapping_merged_into_itself_is_a_mistake_with_its_line():
    """`<<` that leads back to its own mapping is said, once, where it stands."""
    document, mistakes = read_document("name: x\na: &a\n  <<: *a\n  b: 1\n", "one.yaml")

    assert document.data == {"name": "x", "a": {"b": 1}}
    assert [(m.line, m.message) for m in mistakes] == [(3, "<< merges a mapping into itself")]


def test_merges_that_multiply_are_stopped_even_when_they_merge_nothing():
    """Nine times nine times nine merges of an empty mapping are counted like the values they do not hold."""
    layers = "".join(f"m{n}: &m{n}\n  <<: [{', '.join([f'*m{n - 1}'] * 9)}]\n" for n in range(1, 9))

    assert "grows beyond" in refused(f"m0: &m0 {{}}\n{layers}")[-1].message


def test_more_values_than_any_scenario_has_are_refused_where_they_become_too_many():
    """A file that would take the parser half a minute is refused, with the line at which it was given up."""
    values = 2 * MOST_NODES
    (mistake,) = refused("name: x\n" + "a:\n" + "- 1\n" * values)

    assert "more than" in mistake.message
    assert MOST_NODES < mistake.line <= values + 2


def test_a_long_text_with_a_thousand_aliases_is_looked_at_once():
    """Only a quoted text can hold what the file does not, so a plain one is not searched again for each alias."""
    text = f"a: &a {'x' * 1000}\nb: [{'*a, ' * 1000}]\n"
    document, mistakes = read_document(text, "one.yaml")

    assert mistakes == []
    assert set(document.data["b"]) == {"x" * 1000}


@pytest.mark.parametrize("read", [duration_s, rate_per_s, share, size_bytes])
@pytest.mark.parametrize("text", ["1" * 200_000, " " * 200_000 + "s", "1s" * 200_000])
def test_a_text_far_too_long_for_a_number_is_refused_without_being_searched(read, text):
    """Looking for a unit in two hundred thousand digits once took minutes."""
    with pytest.raises(ValueError, match="too long for a number and a unit"):
        read(text)


# -- files


def test_pipes_and_circles_of_links_among_scenarios_are_passed_over(tmp_path):
    """A folder may hold a fifo or a link to itself; finding scenarios neither waits for it nor ends on it."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "circle.yaml").symlink_to("circle.yaml")
    (tmp_path / "endless.yaml").symlink_to("/dev/zero")
    (tmp_path / "one.yaml").write_text("timeline:\n")

    assert find([tmp_path]) == [tmp_path / "one.yaml"]


@pytest.mark.parametrize("make", [find, lambda paths: JournalReader(paths[0])])
def test_a_name_no_file_system_takes_is_wrong_input(tmp_path, make):
    """A path too long to look at is named in the message, not in a traceback."""
    (tmp_path / "run").symlink_to("x" * 300)

    with pytest.raises(InputError, match="run: cannot be read: File name too long"):
        make([tmp_path / "run"])


def test_a_folder_of_far_too_many_files_is_not_searched(tmp_path, monkeypatch):
    """`harness validate /` is answered with a hint, not with minutes of silence; hidden folders do not count."""
    monkeypatch.setattr("harness.suite.MOST_ENTRIES", 20)
    hidden = tmp_path / ".venv"
    hidden.mkdir()
    for place, count in ((hidden, 30), (tmp_path, 10)):
        for number in range(count):
            (place / f"{number}.yaml").write_text("timeline:\n")

    assert len(find([tmp_path])) == 10

    (tmp_path / "more").mkdir()
    for number in range(10):
        (tmp_path / "more" / f"{number}.txt").touch()

    with pytest.raises(InputError, match="more than 20 files"):
        find([tmp_path])


def test_folders_of_the_environment_that_no_file_system_takes_hold_nothing(monkeypatch):
    """A name far too long in the environment is no bug of ours."""
    environment = {"XDG_STATE_HOME": "x" * 5000, "XDG_CACHE_HOME": "x" * 5000, "PATH": ""}
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")

    assert entry_paths(environment) == []
    assert find_toxiproxy(cache_folder(environment), environment) is None


def test_a_folder_for_reports_that_no_file_system_takes_is_a_finding():
    """The doctor looks at the nearest folder there is."""
    assert folder(Path("x" * 5000)).name == "reports folder"


def test_a_pipe_where_a_file_of_text_is_wanted_is_called_what_it_is(tmp_path):
    """It is there, so "no such file" would send its reader looking for the wrong mistake."""
    os.mkfifo(tmp_path / "one.yaml")

    with pytest.raises(InputError, match="no ordinary file"):
        read_text(tmp_path / "one.yaml")


def test_a_file_that_holds_more_than_it_says_is_read_no_further_than_the_limit():
    """Files the machine makes up say that they are empty, and some never end."""
    with pytest.raises(InputError, match=r"too large|cannot be read|not UTF-8"):
        read_text(Path("/proc/self/pagemap"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"import locust\n\ndef f(:\n", 3),
        (b"# -*- coding: nonsense -*-\n", 1),
        (b"x = 1\0\n", 1),
        (b"-" * 100_000 + b"1", 1),
        (b"(" * 5000, 1),
    ],
)
def test_a_locustfile_python_cannot_read_is_told_with_its_own_line(tmp_path, text, line):
    """It is found out before anything is started, and the line is that of the locustfile."""
    (tmp_path / "locustfile.py").write_bytes(text)
    (tmp_path / "one.yaml").write_text(f"{SCENARIO}expect: [{{availability: {{at_least: 99%}}}}]\n")

    with pytest.raises(InputError) as caught:
        load_scenario(tmp_path / "one.yaml", system=shop())

    assert [(m.file.name, m.line) for m in caught.value.mistakes] == [("locustfile.py", line)]


def test_a_locustfile_of_a_size_no_person_writes_is_not_parsed(tmp_path):
    """Parsing it would take longer than any person waits."""
    (tmp_path / "locustfile.py").write_bytes(b"#" * (LARGEST_BYTES + 1))
    (tmp_path / "one.yaml").write_text(f"{SCENARIO}expect: [{{availability: {{at_least: 99%}}}}]\n")

    with pytest.raises(InputError, match="too large"):
        load_scenario(tmp_path / "one.yaml", system=shop())


# -- journals


def journal(folder, *edits):
    """The folder of a sound run after these statements of SQL."""
    promises = (
        {"availability": {"at_least": "99%"}},
        {"effects": {"ledger": "orders"}},
        {"breaker": {"on": "order->payment", "stays": "closed"}},
    )
    run = Run(scenario(*promises, fault=LATENCY), shop(ledgers=[LEDGER])).load(0, 15, 4).slow_fault().breaker()
    path = run.write(folder / "run")
    db = sqlite3.connect(path / FILE_NAME)
    for edit in edits:
        db.execute(edit)
    db.commit()
    db.close()
    return path


def loosened(table):
    """Statements that take a table's rules away, so that any value fits."""
    return (
        f"CREATE TABLE loose AS SELECT * FROM {table}",
        f"DROP TABLE {table}",
        f"ALTER TABLE loose RENAME TO {table}",
    )


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        (("DROP TABLE wire",), "it has no table 'wire'"),
        (("DROP TABLE requests", "CREATE VIEW requests AS SELECT 1 AS id"), "it has no table 'requests'"),
        (("ALTER TABLE events RENAME COLUMN t_ns TO other",), "its table 'events' has no column 't_ns'"),
        ((*loosened("requests"), "UPDATE requests SET intended_ns = 'x' WHERE rowid = 3"), "intended_ns in row 3 of requests is 'x'"),
        ((*loosened("requests"), "UPDATE requests SET intended_ns = 1.5 WHERE rowid = 3"), "intended_ns in row 3 of requests is 1.5"),
        (("UPDATE events SET data = '7' WHERE id = 2",), "data in row 2 of events is 7, not an object"),
        (("UPDATE events SET data = '[' WHERE id = 2",), "data in row 2 of events is no JSON"),
        (("UPDATE run SET value = '{}' WHERE key = 'system'",), "system of the run cannot be read"),
        (("UPDATE run SET value = '\"x\"' WHERE key = 't0_ns'", "DELETE FROM events WHERE kind = 'load.started'"), "t0_ns of the run is 'x'"),
    ],
)  # fmt: skip
def test_a_damaged_journal_is_refused_by_table_and_row(tmp_path, edits, said):
    """Whatever its cells hold, judging says which one cannot be, and never that the harness has a bug."""
    path = journal(tmp_path, *edits)

    with pytest.raises(InputError) as caught:
        judge(path)

    assert str(path / FILE_NAME) in str(caught.value)
    assert said in str(caught.value)


def test_an_id_as_far_away_as_a_number_can_be_is_not_walked_to(tmp_path):
    """Rows are gathered by ranges of ids; one far off once meant as many ranges as there are numbers between."""
    path = journal(tmp_path, "UPDATE requests SET id = -9223372036854775808 WHERE id = 3")

    assert judge(path).checks[0].samples > 0


@pytest.mark.parametrize("table", ["requests", "wire"])
def test_ids_that_are_no_numbers_are_damage(tmp_path, table):
    """An infinite id has no next one; asking for it never ended."""
    path = journal(tmp_path, *loosened(table), f"UPDATE {table} SET id = 9e999 WHERE rowid > 3")

    with pytest.raises(InputError, match=f"damaged: ids of {table} go from 1 to inf"):
        judge(path)


@pytest.mark.parametrize("kind", ["service.asked", "-1", "other.kind"])
def test_events_of_a_kind_that_nobody_writes_still_make_a_page(tmp_path, kind):
    """A lane without any state is a lane without bars; drawing it once fell over."""
    path = journal(tmp_path, f"UPDATE events SET kind = '{kind}' WHERE kind LIKE 'fault.%' OR kind LIKE 'phase.%'")

    with JournalReader(path) as reader:
        assert "</html>" in report_html(judge(path), reader)


def test_events_before_all_time_bring_no_verdict(tmp_path):
    """A steady phase that ends before it begins holds no requests; it is no reason to fall over."""
    verdict = judge(journal(tmp_path, "UPDATE events SET t_ns = -1"))

    assert verdict.verdict is Verdict.INCONCLUSIVE


def test_a_journal_whose_json_is_nested_without_end_is_refused(tmp_path):
    """Ten thousand brackets are no reason to run out of stack."""
    path = journal(tmp_path, f"UPDATE run SET value = '{'[' * 10_000}' WHERE key = 'seed'")

    with pytest.raises(InputError, match="not a journal"):
        JournalReader(path)


def test_a_check_that_stumbles_over_damage_says_so_and_hides_no_other(tmp_path):
    """One broken look at a breaker makes that check INCONCLUSIVE for the right reason."""
    path = journal(tmp_path, "UPDATE probes SET data = '[1]' WHERE id = 9")
    checks = {check.check: check for check in judge(path).checks}

    assert checks["breaker"].verdict is Verdict.INCONCLUSIVE
    assert "the journal is damaged: data in row 9 of probes is [1]" in checks["breaker"].reason
    assert "bug" not in checks["availability"].reason


# -- verdict files


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{\n "format": 1,\n oops\n}', "verdict.json:3: "),
        ("[" * 100_000, "verdict.json: "),
        ('{"format": 1}', "verdict.json: "),
        ("7", "verdict.json: "),
    ],
)
def test_a_verdict_file_that_holds_no_verdict_is_named_with_the_line_where_there_is_one(tmp_path, text, place):
    """JSON that cannot be read has a line; JSON of something else has none."""
    (tmp_path / "verdict.json").write_text(text)

    with pytest.raises(InputError, match="not a verdict") as caught:
        load_verdict(tmp_path)

    assert place in str(caught.value)


def test_a_verdict_file_with_a_value_of_another_kind_is_refused(tmp_path):
    """What is shown to people has the types that it is shown by."""
    values = {
        "scenario": "x",
        "run": "r",
        "verdict": "PASS",
        "reason": ["not a text"],
        "declared": "PASS",
        "because": None,
    }
    document = {"format": 1, **values, "as_declared": True, "checks": [], "receipts": [], "facts": {}}
    (tmp_path / "verdict.json").write_text(json.dumps(document))

    with pytest.raises(InputError, match="reason"):
        load_verdict(tmp_path)
