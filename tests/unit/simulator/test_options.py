"""Switches and set-ups by name, and fleets from a file."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from tminus.errors import UsageError
from tminus.simulator import DEFAULT, ORDINARY, WORST, Fault, HostKey, Newline, flipped, options, read_fleet
from tminus.simulator.router import Timing

GOOD = """
[[site]]
id = "edge"
count = 2
version = "6.49.10"
faults = ["slow"]
profile = "worst"
switches = { newline = "close", file-delay-s = 0.25 }
setup = { flash_folder = true, lacks = ["ftp", "test"], host_key = "rsa" }
timing = { export_s = 1.5 }
export_kb = 10

[[site]]
id = "virtual"
chr = true
identity = "a name"
"""


def read(tmp_path: Path, text: str):
    file = tmp_path / "fleet.toml"
    file.write_text(text)
    return read_fleet(file, version="7.20.8", behaviour=DEFAULT, setup=ORDINARY)


def test_a_fleet_from_a_file(tmp_path: Path) -> None:
    first, second, virtual = read(tmp_path, GOOD)
    assert (first.id, second.id, virtual.id) == ("edge-1", "edge-2", "virtual")
    assert first.version == "6.49.10"
    assert first.faults == {Fault.SLOW}
    assert first.behaviour == options.changed(WORST, {"newline": Newline.CLOSE, "file_delay_s": 0.25})
    assert first.setup is not None
    assert (first.setup.flash_folder, first.setup.lacks, first.setup.host_key) == (True, ("ftp", "test"), HostKey.RSA)
    assert (first.timing, first.export_kb) == (Timing(export_s=1.5), 10)
    assert (virtual.timing, virtual.export_kb) == (None, None)
    assert (virtual.version, virtual.chr, virtual.identity) == ("7.20.8", True, "a name")
    assert (virtual.behaviour, virtual.setup) == (DEFAULT, ORDINARY)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "[[site]]"),
        ("site = 3", "[[site]]"),
        ("[[site]]\nversion = '7.20'", "needs an id"),
        ("[[site]]\nid = 'a'\ncolour = 1", "no 'colour'"),
        ("[[site]]\nid = 'a'\ncount = 0", "from 1 on"),
        ("[[site]]\nid = 'a'\nversion = '5.1'", "5.1"),
        ("[[site]]\nid = 'a'\nprofile = 'best'", "best"),
        ("[[site]]\nid = 'a'\nfaults = ['tired']", "tired"),
        ("[[site]]\nid = 'a'\nfaults = 'slow'", "list of words"),
        ("[[site]]\nid = 'a'\nswitches = { nothing = 1 }", "no 'nothing'"),
        ("[[site]]\nid = 'a'\nsetup = 5", "no table"),
        ("[[site]]\nid = 'a'\nexport_kb = -1", "from 0 on"),
        ("[[site]]\nid = 'a'\ntiming = { lunch_s = 1 }", "no 'lunch_s'"),
        ("[[site]", "cannot read"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_its_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)
    assert "fleet.toml" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["newline=often", "newline", "max_command_bytes=x", "max_command_bytes=-1", "sends_status=maybe", "x=1"]
)
def test_a_switch_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        options.changed(DEFAULT, options.pairs([text]))


def test_switches_as_text() -> None:
    given = options.pairs(["newline=first-line", "sends-status=no", "file_delay_s=1.5", "max_channels=3"])
    changed = options.changed(DEFAULT, given)
    assert (changed.newline, changed.sends_status, changed.file_delay_s, changed.max_channels) == (
        Newline.FIRST_LINE,
        False,
        1.5,
        3,
    )
    assert options.changed(ORDINARY, options.pairs(["lacks=ftp,test", "clock_ahead_s=-60"])).lacks == ("ftp", "test")


def test_every_switch_and_set_up_is_documented() -> None:
    for known in (DEFAULT, ORDINARY):
        rows = list(options.documented(known))
        assert [row.name for row in rows] == [field.name for field in fields(known)]
        assert all(len(row.meaning) > 20 and row.values and row.default for row in rows)


def test_every_switch_is_flipped_alone() -> None:
    for name, behaviour in flipped().items():
        different = [f.name for f in fields(behaviour) if getattr(behaviour, f.name) != getattr(DEFAULT, f.name)]
        assert different == [name.partition("=")[0]]
    assert {name.partition("=")[0] for name in flipped()} == {field.name for field in fields(DEFAULT)}
