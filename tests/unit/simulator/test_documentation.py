"""docs/simulator.md: its tables are the code's, its fleet file can be read, and --help has the same names."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from tminus.cli.process import simulate
from tminus.simulator import DEFAULT, ORDINARY, PROFILES, TESTED, WORST, Behaviour, Fault, Setup, options, read_fleet

_PAGE = Path(__file__).parents[3] / "docs/simulator.md"
_TEXT = _PAGE.read_text(encoding="utf-8")
_HEADS: tuple[tuple[Behaviour | Setup, str], ...] = (
    (DEFAULT, "| name | values | `default` | `worst` | meaning |\n|---|---|---|---|---|\n"),
    (ORDINARY, "| name | values | usual | meaning |\n|---|---|---|---|\n"),
)


def table(known: Behaviour | Setup) -> str:
    """The rows that belong into the documentation."""
    worst = {row.name: row.default for row in options.documented(WORST)} if isinstance(known, Behaviour) else {}
    rows = []
    for row in options.documented(known):
        other = [] if not worst else [f"`{worst[row.name]}`" if worst[row.name] != row.default else ""]
        cells = [f"`{row.name}`", row.values, f"`{row.default}`", *other, row.meaning]
        rows.append("| " + " | ".join(cells).replace("  ", " ") + " |\n")
    return "".join(rows)


def written() -> str:
    """The page with the tables as they have to be."""
    text = _TEXT
    for known, head in _HEADS:
        before, rest = text.split(head)
        text = before + head + table(known) + rest[rest.index("\n\n") + 1 :]
    return text


def test_every_switch_and_every_set_up_has_its_row() -> None:
    assert written() == _TEXT, (
        "docs/simulator.md is not up to date; run python -m tests.unit.simulator.test_documentation"
    )


def test_the_tested_versions_are_named() -> None:
    assert f"{', '.join(TESTED[:-1])} and {TESTED[-1]}" in " ".join(_TEXT.split())


def test_every_fault_is_named() -> None:
    assert [fault for fault in Fault if f"| `{fault}` |" not in _TEXT] == []


def test_the_fleet_file_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(_TEXT.split("```toml\n")[1].split("```")[0])
    sites = read_fleet(file, version="7.20.8", behaviour=DEFAULT, setup=ORDINARY)
    assert [site.id for site in sites] == ["edge-1", "edge-2", "edge-3", "virtual"]
    assert sites[0].behaviour != PROFILES["worst"]
    assert sites[0].setup is not None
    assert sites[0].setup.lacks == ("test",)


def test_the_help_names_them_all() -> None:
    said = CliRunner().invoke(simulate, ["--help"]).output
    names = [row.name for known in (DEFAULT, ORDINARY) for row in options.documented(known)]
    assert [name for name in [*names, "profile", "fleet"] if name not in said] == []
    assert [fault for fault in Fault if fault not in "".join(said.split())] == []


if __name__ == "__main__":
    _PAGE.write_text(written(), encoding="utf-8")
