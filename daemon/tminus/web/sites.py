"""The inventory, as an inventory tool keeps it."""

from __future__ import annotations

import json

from tminus.web.call import Answer, Call, page_of, read_cursor
from tminus.web.models import NewSite, SiteChange, SitePage
from tminus.web.problems import Code, Problem


async def list_sites(call: Call) -> Answer:
    page = call.query_as(SitePage)
    (after,) = read_cursor(page.cursor, str)
    rows = await call.rows("list_sites_for_api", page.tag, after, page.limit + 1)
    return page_of([row["document"] for row in rows], page.limit, [(row["id"],) for row in rows])


async def show_site(call: Call) -> Answer:
    site_id = str(call.ids["site_id"])
    document = await call.value("site_for_api", site_id)
    if document is None:
        raise Problem(Code.NOT_FOUND, f"there is no site {site_id!r}")
    return Answer(text=str(document))


async def create_site(call: Call) -> Answer:
    new = call.body_as(NewSite)
    if await call.value("site_exists", new.id):
        raise Problem(Code.ALREADY_EXISTS, f"there is a site {new.id!r} already; PUT changes it")
    answer = await _write(call, new.id, new)
    if answer.status != 201:  # somebody else's was faster
        raise Problem(Code.ALREADY_EXISTS, f"there is a site {new.id!r} already; PUT changes it")
    return answer


async def put_site(call: Call) -> Answer:
    """Add or change one. What is as it was is not touched, and resets no authorization."""
    return await _write(call, str(call.ids["site_id"]), call.body_as(SiteChange))


async def _write(call: Call, site_id: str, change: SiteChange) -> Answer:
    given = change.model_dump(mode="json", include=change.model_fields_set) | {"id": site_id}
    documents, columns = json.dumps([given]), list(given)
    for place in await call.rows("place_sites", documents, columns):
        if place["holder"] is not None:
            raise Problem(
                Code.ALREADY_EXISTS,
                f"site {site_id!r} would be a second name for site {place['holder']!r}: both are"
                f" {place['address']} port {place['port']}",
            )
    await call.value("act_for", call.person.name)
    touched = await call.rows("import_sites", documents, columns)
    added = any(row["added"] for row in touched)
    document = await call.value("site_for_api", site_id)
    return Answer(text=str(document), status=201 if added else 200)
