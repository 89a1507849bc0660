"""A file of sites: CSV here, JSON in inventory_json; read and checked, so that each refusal names its line or object."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from graphlib import CycleError, TopologicalSorter

from tminus.errors import UsageError

COLUMNS = (
    "id",
    "name",
    "address",
    "port",
    "username",
    "credential",
    "host_key",
    "ssh_profile",
    "jump_host",
    "runner",
    "tags",
    "timezone",
    "enabled",
    "sensitive_export",
    "return_address",
)
_REQUIRED = ("id", "address")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# What a resolver reads as an IPv4 address, and how it is to be written.
_NUMBERS = r"(?i:(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+))*\.?)"
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_ADDRESS = (
    re.compile(rf"(?!{_NUMBERS}$)[A-Za-z0-9._:%-]{{1,253}}|{_BYTE}(?:\.{_BYTE}){{3}}"),
    "is no host name, and no IP address in full, such as 192.0.2.1",
)
# As the table tminus.sites checks them; here a refusal can name the line.
_FORMS = {
    "id": (re.compile(r".{1,200}"), "has more than 200 characters"),
    "name": (re.compile(r".{1,200}"), "has more than 200 characters"),
    "address": _ADDRESS,
    "return_address": _ADDRESS,
    "username": (
        re.compile(r"[^-+\s][^+\s]{0,63}"),
        "is no RouterOS user name: no '-' in front, no '+', no blanks, at most 64 characters",
    ),
    "credential": (re.compile(r"[A-Za-z0-9_.-]{1,64}"), "is no name of a credential: letters, digits and '_.-'"),
    "ssh_profile": (re.compile(r"modern|legacy"), "is neither 'modern' nor 'legacy'"),
    "jump_host": (re.compile(r"[^-\s]\S{0,252}"), "is no name of a jump host: no '-' in front, no blanks"),
    "runner": (re.compile(r".{1,200}"), "has more than 200 characters"),
}
_YES = frozenset({"true", "t", "yes", "y", "on", "1"})
_NO = frozenset({"false", "f", "no", "n", "off", "0"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteLine:
    """A site as one line of the file gives it; None where the cell is empty or there is no such column."""

    id: str
    name: str | None
    address: str
    port: int | None
    username: str | None
    credential: str | None
    host_key: str | None
    ssh_profile: str | None
    jump_host: str | None
    runner: str | None
    tags: tuple[str, ...]
    timezone: str | None
    enabled: bool | None
    sensitive_export: bool | None
    return_address: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    columns: tuple[str, ...]
    places: Mapping[str, str]  # site id -> where it stands: 'line 4', 'object 4'
    sites: tuple[SiteLine, ...]

    def documents(self) -> list[dict[str, object]]:
        """What the statement import_sites takes as JSON."""
        return [asdict(site) for site in self.sites]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a site is to be reached, and which other site is reached there so far."""

    site_id: str
    where: tuple[str | None, str | None, str, int]  # runner, jump host, address, port
    holder: str | None


def read_inventory(text: str, name: str) -> Inventory:
    """Read a CSV with a header line. UsageError names the file and the line."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: tuple[str, ...] | None = None
    sites: list[SiteLine] = []
    places: dict[str, str] = {}
    try:
        for cells in reader:
            where = f"{name}, line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = _header(cells, where)
                continue
            if len(cells) != len(columns):
                raise UsageError(f"{where}: it has {len(cells)} cells, the header line has {len(columns)}")
            given = {column: cell.strip() for column, cell in zip(columns, cells, strict=True)}
            sites.append(checked_site(given, _tags(given.get("tags", "")), where))
            note_place(places, sites[-1].id, f"line {reader.line_num}", where)
    except csv.Error as error:
        raise UsageError(f"{name}, line {reader.line_num}: this is not CSV: {error}") from None
    if columns is None:
        raise UsageError(f"{name} is empty; its first line names the columns, such as id,name,address")
    if not sites:
        raise UsageError(f"{name} has a header line, but no sites")
    return Inventory(columns=columns, places=places, sites=tuple(sites))


def _header(cells: Sequence[str], where: str) -> tuple[str, ...]:
    columns = tuple(cell.strip().lower() for cell in cells)
    for column in columns:
        if columns.count(column) > 1:
            raise UsageError(f"{where}: column {column!r} is there twice")
    return checked_columns(columns, where)


def checked_columns(columns: tuple[str, ...], where: str) -> tuple[str, ...]:
    for column in columns:
        if column not in COLUMNS:
            raise UsageError(f"{where}: there is no column {column!r}; the columns are {', '.join(COLUMNS)}")
    for column in _REQUIRED:
        if column not in columns:
            raise UsageError(f"{where}: the column {column!r} is missing; id and address are needed")
    return columns


def note_place(places: dict[str, str], site_id: str, place: str, where: str) -> None:
    if site_id in places:
        raise UsageError(f"{where}: site {site_id!r} stands in {places[site_id]} already; name each site once")
    places[site_id] = place


def _tags(cell: str) -> tuple[str, ...]:
    return tuple(re.split(r"[;\s]+", cell.strip("; "))) if cell.strip("; ") else ()


def checked_site(given: Mapping[str, str], tags: tuple[str, ...], where: str) -> SiteLine:
    """Make a site of its cells, empty ones included. UsageError names the place, the column and what is wrong."""
    for column in _REQUIRED:
        if not given[column]:
            raise UsageError(f"{where}: the {column} is missing")
    for column, cell in given.items():
        if _CONTROL.search(cell):
            raise UsageError(f"{where}: the {column} has a control character in it")
        form, complaint = _FORMS.get(column, (None, ""))
        if cell and form is not None and not form.fullmatch(cell):
            raise UsageError(f"{where}: {column} {cell!r} {complaint}")
    return SiteLine(
        id=given["id"],
        name=given.get("name") or None,
        address=given["address"],
        port=_port(given.get("port"), where),
        username=given.get("username") or None,
        credential=given.get("credential") or None,
        host_key=_host_key(given.get("host_key"), where),
        ssh_profile=given.get("ssh_profile") or None,
        jump_host=given.get("jump_host") or None,
        runner=given.get("runner") or None,
        tags=tuple(dict.fromkeys(tags)),
        timezone=given.get("timezone") or None,
        enabled=_flag("enabled", given.get("enabled"), where),
        sensitive_export=_flag("sensitive_export", given.get("sensitive_export"), where),
        return_address=given.get("return_address") or None,
    )


def _port(cell: str | None, where: str) -> int | None:
    if not cell:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", cell) or not 1 <= int(cell) <= 65535:
        raise UsageError(f"{where}: port {cell!r} is no number from 1 to 65535")
    return int(cell)


def _flag(column: str, cell: str | None, where: str) -> bool | None:
    if not cell:
        return None
    if cell.lower() in _YES:
        return True
    if cell.lower() in _NO:
        return False
    raise UsageError(f"{where}: {column} {cell!r} is neither true nor false")


def _host_key(cell: str | None, where: str) -> str | None:
    if not cell:
        return None
    from tminus.device.hostkeys import HostKey

    try:
        return HostKey.parse(cell).text
    except ValueError as error:
        raise UsageError(f"{where}: host_key is no OpenSSH public key: {error}") from None


def in_order(inventory: Inventory, places: Iterable[Place], name: str) -> Inventory:
    """Return the sites so ordered that each place is free when its new site comes: `a` moves to where `b` was after `b` has left.

    UsageError where two sites of the file share a place, or the place of a site outside it is taken, or two swap theirs.
    """
    here = {place.site_id: place for place in places}
    taken: dict[tuple[str | None, str | None, str, int], str] = {}
    graph: dict[str, set[str]] = {}
    for site in inventory.sites:
        place = here[site.id]
        at = f"{name}, {inventory.places[site.id]}: site {site.id!r} has the address {place.where[2]} port {place.where[3]} of"
        if place.where in taken:
            raise UsageError(
                f"{at} site {taken[place.where]!r} in {inventory.places[taken[place.where]]}; give one of them another"
            )
        taken[place.where] = site.id
        if place.holder is not None and place.holder not in here:
            raise UsageError(f"{at} site {place.holder!r}, which is not in the file; give one of them another")
        graph[site.id] = {place.holder} if place.holder is not None else set()
    try:
        order = {site_id: number for number, site_id in enumerate(TopologicalSorter(graph).static_order())}
    except CycleError as error:
        swapped = " and ".join(dict.fromkeys(error.args[1]))
        raise UsageError(
            f"{name}: the sites {swapped} take each other's address; import one of them with a free address first"
        ) from None
    return Inventory(
        columns=inventory.columns,
        places=inventory.places,
        sites=tuple(sorted(inventory.sites, key=lambda site: order[site.id])),
    )
