"""What a fleet is made of: faults dealt to sites, versions, the journal, the inventory."""

from __future__ import annotations

import json
import random

import pytest

from tminus.errors import UsageError
from tminus.simulator import Fault, FleetSpec, Journal, Kind, Site, parse_faults
from tminus.simulator.faults import deal
from tminus.simulator.inventory import inventory_sql, literal
from tminus.simulator.versions import Version


def test_faults_are_read_and_dealt_reproducibly() -> None:
    counts = parse_faults("offline=3, truncates-export=2")
    assert counts == {Fault.OFFLINE: 3, Fault.TRUNCATES_EXPORT: 2}
    dealt = deal(counts, 20, random.Random(1))
    assert dealt == deal(counts, 20, random.Random(1))
    assert sum(Fault.OFFLINE in faults for faults in dealt) == 3
    assert sum(len(faults) for faults in dealt) == 5


@pytest.mark.parametrize("text", ["ofline=3", "offline=x", "offline=-1"])
def test_faults_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_faults(text)


def test_more_faults_than_sites_are_refused() -> None:
    with pytest.raises(UsageError, match="do not fit"):
        FleetSpec(sites=2, faults={Fault.OFFLINE: 3}).expand()


@pytest.mark.parametrize("text", ["5.26", "7", "7.x", "", "latest"])
def test_versions_that_cannot_be_simulated_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Version.parse(text)


def test_versions_have_what_they_have() -> None:
    features = {
        text: (v.legacy, v.iso_dates, v.has_onerror, v.has_dry_run, v.error_paths)
        for text in ("6.49.10", "7.9", "7.12.2", "7.13", "7.16.2", "7.24.4")
        for v in [Version.parse(text)]
    }
    assert features == {
        "6.49.10": (True, False, False, False, False),
        "7.9": (False, False, False, False, False),
        "7.12.2": (False, True, False, False, False),
        "7.13": (False, True, True, False, False),
        "7.16.2": (False, True, True, True, False),
        "7.24.4": (False, True, True, True, True),
    }


def test_versions_are_given_in_turn() -> None:
    sites = FleetSpec(sites=4, versions=("7.20.8", "6.49.10")).expand()
    assert [site.version for site in sites] == ["7.20.8", "6.49.10", "7.20.8", "6.49.10"]


def test_journal_writes_each_event_at_once_as_one_json_line(tmp_path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.record("a", Kind.EXEC, command='x "\n\ud800')
    journal.record("b", Kind.IMPORT_STARTED, name="f", sha256="0")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["site"], line["kind"]) for line in lines] == [("a", "exec"), ("b", "import_started")]
    assert [event.site for event in journal.events(kind=Kind.IMPORT_STARTED)] == ["b"]
    assert len(journal.starts("b")) == 1
    assert journal.starts("a") == []
    journal.close()


def test_journal_appends_to_what_is_there(tmp_path) -> None:
    path = tmp_path / "journal.jsonl"
    for _ in range(2):
        journal = Journal(path)
        journal.record("a", Kind.REBOOT)
        journal.close()
    assert len(path.read_text().splitlines()) == 2


def test_inventory_is_one_upsert_with_quoted_literals() -> None:
    site = Site(
        id="o'brien",
        name="back\\slash",
        address="127.44.0.1",
        port=2222,
        username="ops",
        host_key="ssh-ed25519 AAAA",
        ssh_profile="modern",
        tags=("a'b", "c"),
    )
    sql = inventory_sql([site], None)
    assert "VALUES\n  ('o''brien', E'back\\\\slash', '127.44.0.1', 2222, 'ops', NULL, " in sql
    assert "ARRAY['a''b', 'c']::text[]" in sql
    assert "ON CONFLICT (id) DO UPDATE SET\n  name = excluded.name" in sql
    assert sql.count(";") == 1


def test_a_nul_cannot_be_part_of_sql() -> None:
    with pytest.raises(ValueError, match="NUL"):
        literal("a\0b")
