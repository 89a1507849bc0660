"""Scheduled scripts over HTTP: the routes of the API that tminus follows, and the rules of the database behind them."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from tests.store.test_api_object import KEYS, check_shape
from tests.web.conftest import Api, serve, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPTS = "/scripts/scheduled"


async def test_a_script_is_made_shown_and_listed(api: Api) -> None:
    made = await api.submit(description="Weekly", notify=["auth0|5f9d"], test_site_id="b", sites=["c", "a"])
    check_shape(made)
    assert (made["status"], made["created_by"], made["sites"]) == ("unauthorized", "alice", ["c", "a"])
    assert (made["description"], made["notify"], made["test_site_id"]) == ("Weekly", ["auth0|5f9d"], "b")
    assert made["launch_at"] == "2035-01-01T02:00:00.000000Z"
    shown = (await api("GET", f"{SCRIPTS}/{made['id']}")).json()
    assert {**shown, "t_minus": made["t_minus"]} == made
    listed = (await api("GET", SCRIPTS)).json()
    assert made["id"] in [item["id"] for item in listed], "a bare array"
    assert (await api("GET", f"{SCRIPTS}/{made['id']}/progress")).json() == made["progress"]


async def test_the_author_is_who_the_token_says_whatever_the_body_says(api: Api) -> None:
    made = await api.submit(
        person="auth0|mallory", created_by="alice", status="scheduled", authorized_at="2025-10-30T10:00:00.000000Z"
    )
    assert (made["created_by"], made["updated_by"], made["status"]) == (
        "auth0|mallory",
        "auth0|mallory",
        "unauthorized",
    )
    assert made["authorized_at"] is None


async def test_a_put_changes_what_it_names_keeps_the_rest_and_resets_the_authorization(api: Api) -> None:
    made = await api.submit(description="before", abort_if_offline=True, notify=["x"])
    path = f"{SCRIPTS}/{made['id']}"
    authorized = (await api("POST", f"{path}/authorize", {"digest": await api.digest(made["id"])}, person="bob")).json()
    assert (authorized["status"], authorized["authorized_by"]) == ("scheduled", "bob")
    body = {
        "make_backup": True,
        "description": "after",
        "script": ":put other",
        "sites": ["b"],
        "notify": ["y", "z"],
        "test_site_id": "c",
    }
    changed = (await api("PUT", path, body, person="carol")).json()
    assert {key: changed[key] for key in body} == body
    assert (changed["abort_if_offline"], changed["launch_at"], changed["created_by"]) == (
        True,
        made["launch_at"],
        "alice",
    )
    assert (changed["status"], changed["authorized_at"], changed["updated_by"]) == ("unauthorized", None, "carol")
    assert list(changed)[: len(KEYS)] == list(KEYS)
    again = await api(
        "POST", f"{path}/authorize", {"digest": authorized and await api.digest(made["id"])}, person="carol"
    )
    again.problem(403, "not_allowed", "carol is the last editor")


async def test_an_object_that_was_read_can_be_put_back(api: Api) -> None:
    made = await api.submit()
    back = (await api("PUT", f"{SCRIPTS}/{made['id']}", made)).json()
    assert {**back, "t_minus": ""} == {**made, "t_minus": ""}, "and changes nothing"


async def test_variables_guards_and_a_query_are_made_changed_and_put_back(api: Api) -> None:
    await api.db.run("update tminus.sites set tags = '{asked}' where id in ('b', 'c')")
    columns = {"variables": {"zone": "x", "n": 5, "on": True}, "guard_version": ">=7.12 <8", "guard_uptime": 600}
    body = {"script": ":put $(zone)", "launch_at": "2035-01-01T02:00:00Z", "site_query": {"tags": ["asked"]}, **columns}
    made = (await api("POST", SCRIPTS, body)).json(201)
    assert {name: made[name] for name in columns} == columns
    assert (made["sites"], made["site_query"]) == ([], {"tags": ["asked"]})
    path = f"{SCRIPTS}/{made['id']}"
    back = (await api("PUT", path, made)).json()
    assert {**back, "t_minus": ""} == {**made, "t_minus": ""}, "and changes nothing"
    asked = (await api("POST", f"{path}/request-authorization")).json()
    assert asked["sites"] == ["b", "c"]
    review = (await api("GET", f"{path}/review", person="bob")).json()
    assert [site["variables"] for site in review["sites"]] == [{"zone": "x"}, {"zone": "x"}]
    body = {"digest": review["digest"]}
    assert (await api("POST", f"{path}/authorize", body, person="bob")).json()["status"] == "scheduled"
    changed = (await api("PUT", path, {"guard_cpu_load": 0, "guard_version": None})).json()
    assert (changed["guard_cpu_load"], changed["guard_version"], changed["guard_uptime"]) == (0, None, 600)
    assert changed["status"] == "unauthorized"
    given = (await api("PUT", path, {"site_query": None, "sites": ["a"]})).json()
    assert (given["site_query"], given["sites"]) == (None, ["a"])


async def test_null_takes_away_what_may_be_absent(api: Api) -> None:
    made = await api.submit(test_site_id="b", max_concurrency=5)
    changed = (await api("PUT", f"{SCRIPTS}/{made['id']}", {"test_site_id": None, "max_concurrency": None})).json()
    assert (changed["test_site_id"], changed["max_concurrency"]) == (None, None)
    problem = (await api("PUT", f"{SCRIPTS}/{made['id']}", {"script": None})).problem(422, "invalid")
    assert list(problem["fields"]) == ["script"]


async def test_only_the_digest_that_was_reviewed_is_authorized(api: Api) -> None:
    made = await api.submit()
    path = f"{SCRIPTS}/{made['id']}"
    reviewed = await api.digest(made["id"])
    await api("PUT", path, {"script": ":put meanwhile"})
    stale = await api("POST", f"{path}/authorize", {"digest": reviewed}, person="bob")
    stale.problem(409, "stale_digest", "digest does not match")
    assert (await api("GET", path)).json()["status"] == "unauthorized"
    author = await api("POST", f"{path}/authorize", {"digest": await api.digest(made["id"])})
    author.problem(403, "not_allowed", "alice is the author")
    body = {"digest": await api.digest(made["id"])}
    assert (await api("POST", f"{path}/authorize", body, person="bob")).json()["authorized_by"] == "bob"
    (await api("POST", f"{path}/authorize", body, person="bob")).problem(409, "conflict", "authorized already")


async def test_an_authorization_is_asked_for_given_for_a_reason_and_taken_back(api: Api) -> None:
    made = await api.submit(notify=["bob"])
    path = f"{SCRIPTS}/{made['id']}"
    assert (await api("POST", f"{path}/request-authorization")).json()["status"] == "unauthorized"
    review = (await api("GET", f"{path}/review", person="bob")).json()
    assert (review["requested"]["by"], review["site_count"], review["sites"][0]["id"]) == ("alice", 1, "a")
    body = {"digest": review["digest"], "reason": "looked at it", "expires": "2035-01-02T00:00:00Z"}
    assert (await api("POST", f"{path}/authorize", body, person="bob")).json()["status"] == "scheduled"
    (await api("POST", f"{path}/withdraw", {}, person="bob")).problem(422, "invalid", "reason")
    withdrawn = (await api("POST", f"{path}/withdraw", {"reason": "not tonight"}, person="bob")).json()
    assert (withdrawn["status"], withdrawn["authorized_by"]) == ("unauthorized", None)
    told = [
        (event["kind"], event["principal"]) for event in (await api("GET", f"/events?script_id={made['id']}")).json()
    ]
    assert told == [
        ("authorization_withdrawn", "bob"),
        ("authorized", "bob"),
        ("authorization_requested", "alice"),
        ("submitted", "alice"),
    ]
    bad = {**body, "signature": "rubbish"}
    (await api("POST", f"{path}/authorize", bad, person="bob")).problem(422, "invalid", "ssh-keygen")


async def test_a_get_never_authorizes_and_names_what_does(api: Api) -> None:
    made = await api.submit()
    refused = await api("GET", f"{SCRIPTS}/{made['id']}/authorize", person="bob")
    refused.problem(405, "method_not_allowed", "use POST")
    assert refused.headers["Allow"] == "POST"
    assert (await api("GET", f"{SCRIPTS}/{made['id']}")).json()["status"] == "unauthorized"


async def test_what_is_cancelled_or_launched_is_not_edited(api: Api) -> None:
    made = await api.submit()
    path = f"{SCRIPTS}/{made['id']}"
    cancelled = (await api("DELETE", path, person="dora")).json()
    assert (cancelled["status"], cancelled["cancelled_by"]) == ("cancelled", "dora")
    (await api("DELETE", path)).problem(409, "conflict", "cancelled already, by dora")
    (await api("PUT", path, {"description": "x"})).problem(409, "cancelled")
    (await api("PUT", path, {})).problem(409, "cancelled")
    (await api("POST", f"{path}/authorize", {"digest": "tminus1:" + "0" * 64}, person="bob")).problem(409, "cancelled")
    launched = await api.submit()
    async with api.db.connect() as connection, connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        await connection.execute(
            "update tminus.scheduled_scripts set status = 'launched', started_at = tminus.clock() where id = $1",
            uuid.UUID(launched["id"]),
        )
    (await api("PUT", f"{SCRIPTS}/{launched['id']}", {"description": "x"})).problem(409, "already_launched")


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"script": None}, "script", "string"),
        ({"script": ""}, "script", "at least 1"),
        ({"script": "x\x00"}, "script", "pattern"),
        ({"sites": []}, "sites", "at least 1"),
        ({"sites": "a"}, "sites", "array"),
        ({"sites": ["a", "a"]}, "sites", "named once"),
        ({"sites": ["a", "nowhere"]}, "sites", "unknown site: nowhere"),
        ({"make_backup": "yes"}, "make_backup", "boolean"),
        ({"launch_at": "2020-01-01T00:00:00Z"}, "launch_at", "lies in the past"),
        ({"launch_at": "2035-01-01T00:00:00"}, "launch_at", "timezone"),
        ({"launch_at": 2051222400}, "launch_at", "datetime"),
        ({"make_backups": False}, "make_backups", "not known"),
        ({"site_timeout": 1}, "site_timeout", "greater than or equal to 5"),
        ({"launch_at": None, "cron": "61 * * * *"}, "cron", "minute field"),
        ({"launch_at": None, "cron": "@daily", "timezone": "Berlin"}, "timezone", "no time zone"),
    ],
)
async def test_what_breaks_a_rule_is_refused_with_the_name_of_the_field(
    api: Api, body: dict[str, object], field: str, words: str
) -> None:
    whole = {"script": ":put x", "sites": ["a"], "launch_at": "2035-01-01T02:00:00Z", **body}
    problem = (await api("POST", SCRIPTS, whole)).problem(422, "invalid")
    assert list(problem["fields"]) == [field], problem
    assert words in problem["fields"][field], problem


async def test_a_missing_field_is_named(api: Api) -> None:
    assert set((await api("POST", SCRIPTS, {})).problem(422, "invalid")["fields"]) == {"script"}
    assert set((await api("POST", SCRIPTS, {"script": ":put x"})).problem(422, "invalid")["fields"]) == {"sites"}


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"x"', '{"script": "\\ud800"}'])
async def test_what_is_no_object_in_json_is_refused(api: Api, body: str) -> None:
    headers = {"Authorization": f"Bearer {token()}", "Content-Type": "application/json"}
    async with api.session.post(api.url + SCRIPTS, data=body, headers=headers) as response:
        assert response.status == 422, await response.text()


async def test_a_body_that_is_not_declared_as_json_is_refused(api: Api) -> None:
    (await api("POST", SCRIPTS, {}, Content_Type="text/plain")).problem(415, "not_json")


async def test_what_is_not_there_is_not_found(api: Api) -> None:
    nobody = uuid.uuid4()
    for method, path, body in (
        ("GET", f"{SCRIPTS}/{nobody}", None),
        ("PUT", f"{SCRIPTS}/{nobody}", {}),
        ("DELETE", f"{SCRIPTS}/{nobody}", None),
        ("POST", f"{SCRIPTS}/{nobody}/authorize", {"digest": "tminus1:" + "0" * 64}),
        ("GET", f"{SCRIPTS}/{nobody}/progress", None),
        ("GET", f"{SCRIPTS}/{nobody}/review", None),
        ("GET", f"{SCRIPTS}/{nobody}/launches", None),
        ("GET", f"{SCRIPTS}/not-an-id", None),
        ("GET", f"/launches/{nobody}", None),
        ("GET", f"/launches/{nobody}/site-runs", None),
        ("GET", "/site-runs/999999/output", None),
        ("GET", "/site-runs/999999/backup", None),
        ("GET", "/site-runs/0", None),
        ("GET", "/sites/nowhere", None),
        ("GET", "/nothing", None),
    ):
        (await api(method, path, body)).problem(404, "not_found")


async def test_an_edit_can_name_the_version_that_it_is_of(api: Api) -> None:
    made = await api.submit()
    path = f"{SCRIPTS}/{made['id']}"
    etag = (await api("GET", path)).headers["ETag"]
    first = await api("PUT", path, {"description": "first"}, If_Match=etag)
    first.json()
    (await api("PUT", path, {"description": "second"}, If_Match=etag)).problem(412, "precondition_failed")
    assert (await api("GET", path)).json()["description"] == "first"
    (await api("PUT", path, {"description": "third"}, If_Match=f'"other", {first.headers["ETag"]}')).json()
    assert (await api("PUT", path, {"description": "fourth"}, If_Match="*")).status == 200


async def test_an_authorization_is_a_new_version(api: Api) -> None:
    """Who edits what he saw unauthorized does not take away, unknowing, an authorization that came meanwhile."""
    made = await api.submit()
    path = f"{SCRIPTS}/{made['id']}"
    etag = (await api("GET", path)).headers["ETag"]
    await api("POST", f"{path}/authorize", {"digest": await api.digest(made["id"])}, person="bob")
    (await api("PUT", path, {"description": "x"}, If_Match=etag)).problem(412, "precondition_failed")


async def test_a_request_under_a_key_is_done_once_and_answered_again(api: Api) -> None:
    body = {"script": ":put once", "sites": ["a"], "launch_at": "2035-01-01T02:00:00Z", "description": "keyed"}
    replies = await asyncio.gather(*(api("POST", SCRIPTS, body, Idempotency_Key="k-1") for _ in range(4)))
    assert {reply.status for reply in replies} == {201}
    assert len({reply.text for reply in replies}) == 1, "the very answer"
    assert sorted(reply.headers.get("Idempotent-Replayed", "") for reply in replies) == ["", "true", "true", "true"]
    assert {reply.headers["Location"] for reply in replies} == {f"{SCRIPTS}/{replies[0].json(201)['id']}"}
    assert await api.db.value("select count(*) from tminus.scheduled_scripts where description = 'keyed'") == 1
    (await api("POST", SCRIPTS, {**body, "description": "other"}, Idempotency_Key="k-1")).problem(
        409, "idempotency_key_reused"
    )
    (await api("POST", SCRIPTS, body, person="zoe", Idempotency_Key="k-1")).json(201)
    assert await api.db.value("select count(*) from tminus.scheduled_scripts where description = 'keyed'") == 2


async def test_a_refused_request_leaves_its_key_free(api: Api) -> None:
    body = {"script": ":put x", "sites": ["nowhere"], "launch_at": "2035-01-01T02:00:00Z"}
    (await api("POST", SCRIPTS, body, Idempotency_Key="k-2")).problem(422, "invalid")
    (await api("POST", SCRIPTS, {**body, "sites": ["a"]}, Idempotency_Key="k-2")).json(201)
    (await api("POST", SCRIPTS, body, Idempotency_Key="k 3")).problem(422, "invalid", "Idempotency-Key")


async def test_keys_are_forgotten_after_a_day(api: Api) -> None:
    await api.submit()
    body = {"script": ":put old", "sites": ["a"], "launch_at": "2035-01-01T02:00:00Z"}
    old = await api("POST", SCRIPTS, body, Idempotency_Key="k-old")
    await api.db.run("update tminus.idempotency_keys set at = at - interval '25 hours' where key = 'k-old'")
    new = await api("POST", SCRIPTS, body, Idempotency_Key="k-old")
    assert new.json(201)["id"] != old.json(201)["id"]


async def test_an_id_of_the_client_makes_one_wish(api: Api) -> None:
    chosen = str(uuid.uuid4())
    assert (await api.submit(id=chosen))["id"] == chosen
    body = {"id": chosen, "script": ":put hello", "sites": ["a"], "launch_at": "2035-01-01T02:00:00Z"}
    assert (await api("POST", SCRIPTS, body)).json(200)["id"] == chosen
    (await api("POST", SCRIPTS, {**body, "script": ":put other"})).problem(409, "already_exists")


async def test_pages_are_linked_and_have_each_script_once(api: Api) -> None:
    mine = {(await api.submit(description="paged"))["id"] for _ in range(5)}
    seen: list[str] = []
    path = f"{SCRIPTS}?limit=2&status=unauthorized"
    while path:
        reply = await api("GET", path)
        page = reply.json()
        assert len(page) <= 2
        seen += [item["id"] for item in page]
        link = reply.headers.get("Link", "")
        path = link.removeprefix("<").removesuffix('>; rel="next"')
    assert len(seen) == len(set(seen))
    assert mine <= set(seen)
    assert seen == [
        str(row["id"])
        for row in await api.db.fetch(
            "select id from tminus.scheduled_scripts where status = 'unauthorized' order by created_at desc, id desc"
        )
    ]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "status=done", "cursor=%00", "cursor=x", "colour=red", "limit=1&limit=2"],
)
async def test_a_parameter_that_makes_no_sense_is_refused(api: Api, query: str) -> None:
    (await api("GET", f"{SCRIPTS}?{query}")).problem(422, "invalid")


async def test_a_large_body_is_refused(api: Api) -> None:
    async with serve(api.db, body=2000) as small:
        body = {"script": "#" * 3000, "sites": ["a"], "launch_at": "2035-01-01T02:00:00Z"}
        (await small("POST", SCRIPTS, body)).problem(413, "too_large")


async def test_who_asks_too_often_waits_and_others_do_not(api: Api) -> None:
    async with serve(api.db, per_minute=3) as slow:
        for _ in range(3):
            (await slow("GET", "/sites")).json()
        refused = await slow("GET", "/sites")
        refused.problem(429, "too_many_requests")
        assert 1 <= int(refused.headers["Retry-After"]) <= 20
        (await slow("GET", "/sites", person="bob")).json()


async def test_a_rehearsal_is_begun(api: Api) -> None:
    made = await api.submit()
    reply = await api("POST", f"{SCRIPTS}/{made['id']}/rehearse")
    launch = reply.json(202)
    assert (launch["kind"], launch["counts"]["pending"], launch["created_by"]) == ("rehearsal", 1, "alice")
    assert (await api("GET", reply.headers["Location"])).json()["id"] == launch["id"]
    assert [it["id"] for it in (await api("GET", f"{SCRIPTS}/{made['id']}/launches")).json()] == [launch["id"]]
    runs = (await api("GET", f"/launches/{launch['id']}/site-runs?outcome=pending")).json()
    assert [(run["site_id"], run["outcome"]) for run in runs] == [("a", "pending")]
    (await api("POST", f"{SCRIPTS}/{made['id']}/rehearse")).problem(409, "conflict", "rehearsed already")
