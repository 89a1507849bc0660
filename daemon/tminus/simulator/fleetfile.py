"""A fleet described in a TOML file: a table ``[[site]]`` for each router, or for several alike.

[[site]]
id = "edge"              # with count = 3: edge-1, edge-2, edge-3
version = "6.49.10"
faults = ["slow"]
profile = "worst"        # or "default"
switches = { newline = "close" }
setup = { flash_folder = true, lacks = ["ftp"] }
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from tminus.errors import UsageError

from .behaviour import PROFILES, Behaviour
from .faults import Fault
from .fleet import SiteSpec
from .options import changed
from .router import Timing
from .setup import Setup
from .versions import Version

_KEYS = ("id", "count", "version", "faults", "chr", "identity", "profile", "switches", "setup", "timing", "export_kb")


def read_fleet(path: Path, *, version: str, behaviour: Behaviour, setup: Setup) -> tuple[SiteSpec, ...]:
    """The sites of a file; what one does not say is as given here. UsageError if the file cannot be used."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read the fleet {path}: {error}") from error
    tables = document.get("site", [])
    if not isinstance(tables, list) or not tables or document.keys() != {"site"}:
        raise UsageError(f"{path} has to consist of [[site]] tables, one at least")
    try:
        return tuple(site for table in tables for site in _sites(_table(table, "site"), version, behaviour, setup))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _sites(table: Mapping[str, object], version: str, behaviour: Behaviour, setup: Setup) -> Iterator[SiteSpec]:
    unknown = [key for key in table if key not in _KEYS]
    if unknown:
        raise UsageError(f"a site has no '{unknown[0]}'; it has {', '.join(_KEYS)}")
    name, count = table.get("id"), table.get("count", 1)
    if not isinstance(name, str) or not name:
        raise UsageError("each [[site]] needs an id")
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise UsageError(f"the count of {name} has to be a number from 1 on")
    profile = table.get("profile")
    if profile is not None and (not isinstance(profile, str) or profile not in PROFILES):
        raise UsageError(f"{name} has no profile '{profile}'; there are {', '.join(PROFILES)}")
    given = Version.parse(str(table.get("version", version))).text
    for number in range(1, count + 1):
        yield SiteSpec(
            id=name if count == 1 else f"{name}-{number}",
            version=given,
            faults=_faults(name, table.get("faults", [])),
            chr=table.get("chr", False) is True,
            identity=str(table["identity"]) if "identity" in table else None,
            behaviour=changed(
                PROFILES[profile] if isinstance(profile, str) else behaviour, _table(table.get("switches", {}), name)
            ),
            setup=changed(setup, _table(table.get("setup", {}), name)),
            timing=changed(Timing(), _table(table["timing"], name)) if "timing" in table else None,
            export_kb=_size(name, table["export_kb"]) if "export_kb" in table else None,
        )


def _table(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise UsageError(f"'{value}' of {name} is no table")
    return {str(key).replace("-", "_") if name != "site" else str(key): item for key, item in value.items()}


def _size(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UsageError(f"the export_kb of {name} has to be a number from 0 on")
    return value


def _faults(name: str, words: object) -> frozenset[Fault]:
    if not isinstance(words, list):
        raise UsageError(f"the faults of {name} have to be a list of words")
    try:
        return frozenset(Fault(str(word)) for word in words)
    except ValueError as error:
        raise UsageError(f"the faults of {name}: {error}; the simulator knows {', '.join(Fault)}") from None
