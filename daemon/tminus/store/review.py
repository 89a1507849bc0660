"""What would be authorized, read in one snapshot, with the digest of exactly that.

The digest is computed here, from what is shown: a database that shows one thing and names the digest of another is caught.
"""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from tminus.domain.digest import SitePart, combine, row_digest, site_digest
from tminus.domain.review import LastAuthorized, Review, ShownSite
from tminus.domain.variables import digest_field, names_in
from tminus.errors import StoreError
from tminus.store.launches import row_part
from tminus.store.pool import Transaction, statement


async def read_review(connection: asyncpg.Connection | Transaction, script_id: UUID) -> Review | None:
    """Read what would be authorized; None if there is no such script. StoreError: the database contradicts itself."""
    row = await connection.fetchrow(statement("review_script"), script_id)
    # Of ten thousand sites it takes a while, for which others would have to wait.
    return None if row is None else await asyncio.to_thread(_review, row)


def _review(row: asyncpg.Record) -> Review:
    seen = json.loads(row["review"])
    part = row_part(row, row["id"])
    names = names_in(part.code)
    sites = tuple(_site(each, names) for each in seen["sites"])
    digest = combine(row_digest(part), [(site.id, site_digest(site.part)) for site in sites])
    if digest != seen["digest"]:
        raise StoreError(
            f"what the database shows of scheduled script {row['id']} has the digest {digest}, and it says {seen['digest']};"
            " nothing was authorized, and somebody should find out why"
        )
    return Review(
        id=row["id"],
        digest=digest,
        row=part,
        sites=sites,
        **{name: row[name] for name in _BESIDE},
        distinct=seen["approval"] == "distinct",
        ttl=None if seen["authorization_ttl"] is None else timedelta(seconds=seen["authorization_ttl"]),
        signature_required_by=tuple(seen["signature_required_by"]),
        unserved={why: tuple(sites) for why, sites in seen["unserved"].items()},
        same_key=tuple(tuple(sites) for sites in seen["same_key"]),
        requested=None if seen["requested"] is None else f"by {seen['requested']['by']} at {seen['requested']['at']}",
        test=_test(seen["test"], required=seen["require_test"]),
        last=None if seen["last_authorized"] is None else _last(seen["last_authorized"]),
        whole=row["review"],
    )


_BESIDE = (
    *("description", "status", "variables", "site_query", "launch_at", "t_minus"),
    *("created_by", "updated_by", "summary", "findings"),
)


def _site(seen: dict[str, Any], names: tuple[str, ...]) -> ShownSite:
    values = {name: seen["variables"][name] for name in names if name in seen["variables"]}
    known = {name: seen[name] for name in SitePart.__dataclass_fields__.keys() - {"variables"}}
    return ShownSite(
        part=SitePart(**known, variables=digest_field(values)),
        variables=values,
        name=seen["name"],
        zone=seen["timezone"],
        local_time=seen["local_time"],
        enabled=seen["enabled"],
        version=seen["version"],
        last_seen=seen["last_seen_at"],
        since_last=seen["since_last"],
    )


def _test(seen: dict[str, Any] | None, *, required: bool) -> str | None:
    if seen is None:
        return "not tested as it is now, and it has to be" if required else None
    told = f"on {seen['site']} at {seen['at'][:16].replace('T', ' ')} UTC by {seen['by']}: {seen['outcome']}"
    if seen["outcome"] in ("pending", "running", "completed"):
        return told
    return f"{told} ({seen['message'] or seen['reason']})"


def _last(seen: dict[str, Any]) -> LastAuthorized:
    return LastAuthorized(
        by=seen["by"],
        at=seen["at"],
        script=seen["script"],
        changed=tuple(seen["changed"]),
        was=seen["was"],
        sites_removed=tuple(seen["sites_removed"]),
    )
