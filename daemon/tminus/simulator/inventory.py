"""A fleet as SQL for ``psql``: an upsert into the table of sites."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_COLUMNS = ("id", "name", "address", "port", "username", "credential", "host_key", "ssh_profile", "tags")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One simulated router as an operator's inventory knows it."""

    id: str
    name: str
    address: str
    port: int
    username: str
    host_key: str  # OpenSSH public key, as pinned; with the fault changed-host-key not what the router presents
    ssh_profile: str  # modern | legacy
    tags: tuple[str, ...]


def inventory_sql(sites: Iterable[Site], credential: str | None) -> str:
    """One statement; nothing else of a site is touched if it exists already."""
    rows = ",\n".join(f"  ({_row(site, credential)})" for site in sites)
    if not rows:
        return "-- no sites\n"
    updates = ",\n  ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "id")
    return (
        f"INSERT INTO tminus.sites ({', '.join(_COLUMNS)})\nVALUES\n{rows}\n"
        f"ON CONFLICT (id) DO UPDATE SET\n  {updates};\n"
    )


def _row(site: Site, credential: str | None) -> str:
    tags = f"ARRAY[{', '.join(literal(tag) for tag in site.tags)}]::text[]"
    texts = (site.id, site.name, site.address)
    rest = (site.username, credential, site.host_key, site.ssh_profile)
    return ", ".join((*map(literal, texts), str(site.port), *map(literal, rest), tags))


def literal(text: str | None) -> str:
    """A quoted SQL literal, whatever ``standard_conforming_strings`` says. ValueError for NUL, which text cannot hold."""
    if text is None:
        return "NULL"
    if "\0" in text:
        raise ValueError("a NUL cannot be part of SQL text")
    quoted = text.replace("'", "''")
    return "E'" + quoted.replace("\\", "\\\\") + "'" if "\\" in quoted else f"'{quoted}'"
