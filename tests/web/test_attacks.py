"""What somebody sends who means ill: nothing of it gets in, takes another's name, is taken twice, or breaks anything."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hmac
import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.support import until
from tests.web.conftest import SECRET, Api, Reply, serve, token
from tests.web.test_tokens import PUBLIC_PEM, RSA_KEY, jwks, signed
from tminus.web.tokens import LEEWAY, FixedKeys, parse_jwks

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPTS = "/scripts/scheduled"
WHOLE = {"script": ":put x", "sites": ["a"], "launch_at": "2035-01-01T02:00:00Z"}


async def send(api: Api, body: bytes, *, path: str = SCRIPTS, **headers: str) -> Reply:
    """A POST of these very bytes."""
    sent = {"Authorization": f"Bearer {token()}", "Content-Type": "application/json"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    async with api.session.post(
        api.url + path, data=body, headers=sent, skip_auto_headers=["Accept-Encoding"]
    ) as response:
        return Reply(response.status, await response.text(), response.headers)


async def raw(api: Api, *pieces: bytes, pause_until: float = 0.0) -> str:
    """Write this to a connection, the second piece no sooner than then; return all that comes until it is closed."""
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for number, piece in enumerate(pieces):
            if number:
                await until(lambda: _after(pause_until), within=15)
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(10):
            return (await reader.read(-1)).decode()
    finally:
        writer.close()


async def _after(moment: float) -> bool:
    return time.time() > moment


def request(*headers: str, body: str = "", method: str = "POST", path: str = SCRIPTS) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


# ---- tokens -----------------------------------------------------------------------------------------------------------


def forged(head: dict[str, Any], key: bytes, **claims: object) -> str:
    """A token with an HMAC of this key, whatever its head says."""

    def coded(part: bytes) -> bytes:
        return base64.urlsafe_b64encode(part).rstrip(b"=")

    body = {"sub": "alice", "iss": "tminus", "aud": "tminus", "exp": time.time() + 600, **claims}
    message = coded(json.dumps(head).encode()) + b"." + coded(json.dumps(body).encode())
    return (message + b"." + coded(hmac.digest(key, message, "sha256"))).decode()


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", None, "hs256", "HS256 ", ["HS256"], "RS256", "ES256K", 7])
async def test_a_head_that_names_another_algorithm_gets_nobody_in(api: Api, alg: object) -> None:
    reply = await api("GET", "/sites", bearer=forged({"alg": alg, "typ": "JWT"}, SECRET))
    reply.problem(401, "unauthenticated")


@pytest.mark.parametrize("kid", ["../../dev/null", "/dev/null", "r\x00", "' or 1=1 --", "x" * 4000, "r", ""])
@pytest.mark.parametrize("key", [b"", PUBLIC_PEM, SECRET])
async def test_a_name_of_a_key_is_a_name_and_no_place(api: Api, kid: str, key: bytes) -> None:
    async with serve(api.db, source=FixedKeys(parse_jwks(jwks()))) as asymmetric:
        bearer = forged({"alg": "HS256", "kid": kid}, key or b"\0" * 32)
        (await asymmetric("GET", "/sites", bearer=bearer)).problem(401, "unauthenticated")


async def test_a_token_brings_no_key_of_its_own(api: Api) -> None:
    mine = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = json.loads(RSAAlgorithm.to_jwk(mine.public_key()))
    async with serve(api.db, source=FixedKeys(parse_jwks(jwks()))) as asymmetric:
        for headers in (
            {"jwk": public},
            {"jku": "http://127.0.0.1:1/", "kid": "mine"},
            {"x5u": "http://127.0.0.1:1/"},
            {"x5c": [public["n"]]},
        ):
            bearer = signed(mine, "RS256", headers)
            (await asymmetric("GET", "/sites", bearer=bearer)).problem(401, "unauthenticated")
        (await asymmetric("GET", "/sites", bearer=signed(RSA_KEY, "RS256"))).json()


async def test_a_published_key_for_another_algorithm_proves_nothing(api: Api) -> None:
    for algorithm in ("RS512", "PS256"):
        other = json.loads(jwks())["keys"][0] | {"alg": algorithm}
        with pytest.raises(ValueError, match="no public key"):
            parse_jwks(json.dumps({"keys": [other]}))
    private = json.loads(RSAAlgorithm.to_jwk(RSA_KEY))
    with pytest.raises(ValueError, match="no public key"):
        parse_jwks(json.dumps({"keys": [private]}))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": "soon"}, {"exp": float("1e308")}, {"exp": -1}, {"exp": True}, {"exp": None}, {"exp": [9999999999]},
        {"sub": 5}, {"sub": ["alice"]}, {"sub": " alice"}, {"sub": "alice "}, {"sub": "ali\u202ece"}, {"sub": "jose\u0301"},
        {"iss": ["tminus"]}, {"aud": {"tminus": 1}}, {"nbf": "x"}, {"iat": time.time() + 86400},
    ],
)  # fmt: skip
async def test_a_claim_that_is_odd_gets_nobody_in(api: Api, claims: dict[str, Any]) -> None:
    reply = await api("GET", "/sites", bearer=forged({"alg": "HS256"}, SECRET, **claims))
    if claims == {"exp": float("1e308")}:
        assert reply.status in (200, 401, 403), reply.text  # it is a number, and never a defect
    else:
        reply.problem(401, "unauthenticated")


async def test_nobody_acts_for_the_daemon(api: Api) -> None:
    made = await api.submit()
    (await api("DELETE", f"{SCRIPTS}/{made['id']}", person="tminus")).problem(403, "not_allowed", "is the daemon")


async def test_two_tokens_are_none_whichever_comes_first(api: Api) -> None:
    for first, second in ((token("alice"), token("bob")), (token("alice"), "x"), ("x", token("alice"))):
        answer = await raw(
            api, request(f"Authorization: Bearer {first}", f"authorization: Bearer {second}", method="GET")
        )
        assert answer.startswith("HTTP/1.1 401"), answer
        assert "more than once" in answer


async def test_no_header_and_no_body_says_who_acts(api: Api) -> None:
    names = (
        "X-Forwarded-User",
        "X-Remote-User",
        "Remote-User",
        "X-User",
        "From",
        "Tminus-Acting-For",
        "X-Original-User",
    )
    headers = dict.fromkeys(names, "root@example.net")
    body = {
        **WHOLE,
        "created_by": "root",
        "updated_by": "root",
        "authorized_by": "root",
        "progress": {"completed": ["a"]},
    }
    made = (await send(api, json.dumps(body).encode(), **headers)).json(201)
    assert (made["created_by"], made["updated_by"], made["authorized_by"]) == ("alice", "alice", None)
    (event,) = (await api("GET", f"/events?script_id={made['id']}")).json()
    assert event["principal"] == "alice"
    for smuggled in ("by", "approver", "acting_for", "principal"):
        body = {"digest": await api.digest(made["id"]), smuggled: "carol"}
        (await api("POST", f"{SCRIPTS}/{made['id']}/authorize", body)).problem(422, "invalid", smuggled)


async def test_who_wrote_it_does_not_authorize_it_under_any_scope_nor_by_an_edit_of_another(api: Api) -> None:
    made = await api.submit()
    path = f"{SCRIPTS}/{made['id']}"
    body = {"digest": await api.digest(made["id"])}
    (await api("POST", f"{path}/authorize", body)).problem(403, "not_allowed", "author")
    # An edit that changes nothing takes the place of nobody as the last editor, and a true one makes its author one.
    (await api("PUT", path, {"description": made["description"]}, person="bob")).json()
    (await api("PUT", path, {"description": "mine now"}, person="bob")).json()
    (await api("POST", f"{path}/authorize", {"digest": await api.digest(made["id"])}, person="bob")).problem(
        403, "not_allowed"
    )
    (await api("POST", f"{path}/authorize", {"digest": await api.digest(made["id"])})).problem(403, "not_allowed")


async def test_a_token_that_ends_while_its_body_arrives_does_nothing(api: Api) -> None:
    ends = int(time.time()) - LEEWAY.seconds + 2
    bearer = forged({"alg": "HS256"}, SECRET, exp=ends, scope="script:create")
    body = json.dumps({**WHOLE, "description": "too late"})
    head = request(f"Authorization: Bearer {bearer}", "Content-Type: application/json", f"Content-Length: {len(body)}")
    answer = await raw(api, head + body[:10].encode(), body[10:].encode(), pause_until=ends + LEEWAY.seconds)
    assert answer.startswith("HTTP/1.1 401"), answer
    assert "expired while the body arrived" in answer
    assert await api.db.value("select count(*) from tminus.scheduled_scripts where description = 'too late'") == 0


async def test_a_short_secret_wrong_by_one_byte_proves_nothing_and_takes_no_longer(api: Api) -> None:
    """The comparison is the library's, in constant time; this shows that nothing of ours is told by the answers."""
    answers = set()
    good = signed()
    head, body, mac = good.split(".")
    for index in (0, 20, 40):
        wrong = mac[:index] + ("A" if mac[index] != "A" else "B") + mac[index + 1 :]
        reply = await api("GET", "/sites", bearer=f"{head}.{body}.{wrong}")
        answers.add((reply.status, reply.text))
    assert len(answers) == 1
    assert answers.pop()[0] == 401


# ---- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100000, b'{"variables":' * 50000, b'{"script":"x","script":"y"}', b'{"variables":{"a":1,"a":2}}',
        b'{"max_concurrency":' + b"9" * 5000 + b"}", b'{"start_within":1e400}', b'{"start_within":NaN}', b'{"script":"\\ud800"}',
        b'{"script":"\xff"}', b'\xef\xbb\xbf{"script":"x"}', '{"script":"x"}'.encode("utf-16"), b'{"script":"\\u0000"}',
        b'{"__proto__":{"status":"scheduled"}}', b'{"script":"x"}{"script":"y"}', b"{'script':'x'}", b'{"scr\\u0000ipt":"x"}',
    ],
)  # fmt: skip
async def test_a_body_that_is_no_plain_json_is_refused(api: Api, body: bytes) -> None:
    before = await api.db.value("select count(*) from tminus.scheduled_scripts")
    (await send(api, body)).problem(422, "invalid")
    assert await api.db.value("select count(*) from tminus.scheduled_scripts") == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_concurrency", 10**30), ("max_launches", 2**63), ("guard_free_space", 2**63), ("guard_cpu_load", True),
        ("variables", {"n": 10**18}), ("variables", {"n": 1.5}), ("variables", {"n": None}), ("variables", {"n": ["x"]}),
        ("start_within", "3600"), ("launch_at", "infinity"), ("launch_at", "now"), ("launch_at", "-4713-01-01T00:00:00Z"),
        ("sites", ["a\x00"]), ("sites", ["a\nb"]), ("notify", ["x\u0007"]), ("description", "x\x00"), ("id", "not-an-id"),
        ("timezone", "../../etc/passwd"), ("cron", "* * * * * rm"), ("windows", ["x\x00"]), ("wave_order", ["a\x00"]),
        ("site_query", {"tags": ["x"], "sql": "1=1"}), ("local_time", "2035-01-01T02:00:00'; drop table tminus.sites; --"),
    ],
)  # fmt: skip
async def test_a_value_that_no_column_can_hold_is_refused_by_name(api: Api, field: str, value: object) -> None:
    body = {**WHOLE, field: value} | ({"launch_at": None} if field in ("cron", "local_time") else {})
    fields = (await send(api, json.dumps(body).encode())).problem(422, "invalid")["fields"]
    assert {name.split(".")[0] for name in fields} <= {field, "timezone", "sites"}, fields


async def test_a_small_body_does_not_become_a_large_one(api: Api) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    for encoding in ("gzip", "deflate", "identity", "x"):
        (await send(api, bomb, Content_Encoding=encoding)).problem(415, "not_json", "Content-Encoding")


async def test_a_body_of_unknown_length_is_cut_off_at_the_limit(api: Api) -> None:
    async def endless() -> Any:
        for _ in range(2000):
            yield b" " * 4096

    async with serve(api.db, body=100_000) as small:
        headers = {"Authorization": f"Bearer {token()}", "Content-Type": "application/json"}
        async with small.session.post(small.url + SCRIPTS, data=endless(), headers=headers) as response:
            assert response.status == 413


async def test_one_message_is_one_request(api: Api) -> None:
    bearer = f"Authorization: Bearer {token()}"
    hidden = f"DELETE {SCRIPTS}/{uuid.uuid4()} HTTP/1.1\r\nHost: x\r\n{bearer}\r\n\r\n"
    for headers in (
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Transfer-Encoding: identity, chunked, x",),
        ("Content-Length: +5",),
        ("Transfer-Encoding : chunked",),
        ("X: a\x00b",),
    ):
        answer = await raw(api, request(bearer, "Content-Type: application/json", *headers, body="0\r\n\r\n" + hidden))
        assert answer.split()[1] == "400", (headers, answer)
        assert answer.count("HTTP/1.") == 1, (headers, answer)


# ---- paths, parameters, headers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/scripts/scheduled/..%2f..%2fsites", "/sites/%00", "/sites/%0d%0aX-Injected:1", "/sites/%ff", "/site-runs/1e3",
        "/site-runs/-1", "/site-runs/%D9%A1", "/site-runs/99999999999999999999", "/launches/%7B%7D", "/errors/..%2f..%2fetc",
        "/windows/%00", "/tag-caps/%0a", "/freezes/0/thaw", "/contacts/0", "//sites", "/SITES", "/sites/a/b",
    ],
)  # fmt: skip
async def test_a_path_that_is_none_is_not_found(api: Api, path: str) -> None:
    answer = await raw(api, request(f"Authorization: Bearer {token()}", method="GET", path=path))
    assert answer.startswith(("HTTP/1.1 404", "HTTP/1.1 405")), answer
    assert "\nX-Injected" not in answer


def cursor(*values: str) -> str:
    return base64.urlsafe_b64encode("\n".join(values).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("path", "values"),
    [
        (SCRIPTS, ("2030-01-01T00:00:00", str(uuid.uuid4()))),
        (SCRIPTS, ("2030-01-01T00:00:00+00:00", "x")),
        (SCRIPTS, ("2030-01-01T00:00:00+00:00",)),
        ("/events", ("9" * 30,)), ("/events", ("-1",)), ("/events", ("1e3",)), ("/events", (" 1",)), ("/events", ("1", "2")),
        ("/sites", ("a", "b")),
    ],
)  # fmt: skip
async def test_a_cursor_that_somebody_made_up_is_refused(api: Api, path: str, values: tuple[str, ...]) -> None:
    (await api("GET", f"{path}?cursor={cursor(*values)}")).problem(422, "invalid", "cursor")


async def test_the_link_of_a_page_holds_nothing_that_was_not_asked(api: Api) -> None:
    await api.db.run('update tminus.sites set tags = \'{"x\\"y"}\'')
    reply = await api("GET", "/sites?limit=1&tag=x%22y")
    link = reply.headers["Link"]
    assert link.startswith("</sites?limit=1&tag=x%22y&cursor=")
    assert link.endswith('>; rel="next"')
    assert not set("\r\n\"'") & set(link.removesuffix('; rel="next"'))
    (await api("GET", "/sites?tag=x%0d%0aSet-Cookie:%20a=b")).problem(422, "invalid")


async def test_two_keys_for_one_act_are_none(api: Api) -> None:
    body = json.dumps(WHOLE)
    answer = await raw(
        api,
        request(
            f"Authorization: Bearer {token()}", "Content-Type: application/json", f"Content-Length: {len(body)}",
            "Idempotency-Key: one", "Idempotency-Key: two", body=body,
        ),
    )  # fmt: skip
    assert answer.startswith("HTTP/1.1 422"), answer


async def test_an_etag_is_looked_for_in_all_headers(api: Api) -> None:
    made = await api.submit()
    path = f"{SCRIPTS}/{made['id']}"
    etag = (await api("GET", path)).headers["ETag"]
    body = json.dumps({"description": "x"})
    for given, status in (((f"W/{etag}",), 412), (('"other"', '"third"'), 412), (('"other"', etag), 200)):
        answer = await raw(
            api,
            request(
                f"Authorization: Bearer {token()}", "Content-Type: application/json", f"Content-Length: {len(body)}",
                *(f"If-Match: {one}" for one in given), body=body, method="PUT", path=path,
            ),
        )  # fmt: skip
        assert answer.startswith(f"HTTP/1.1 {status}"), (given, answer)


async def test_of_two_who_add_the_same_site_one_does(api: Api) -> None:
    bodies = [{"id": "raced", "address": f"192.0.2.{number}"} for number in range(101, 107)]
    replies = await asyncio.gather(*(api("POST", "/sites", body) for body in bodies))
    assert sorted(reply.status for reply in replies) == [201, 409, 409, 409, 409, 409]
    (won,) = [reply.json(201) for reply in replies if reply.status == 201]
    assert (await api("GET", "/sites/raced")).json()["address"] == won["address"]


async def test_every_post_takes_a_key_and_does_what_it_does_once(api: Api) -> None:
    """Each act, twice under its key: the second is answered as the first, though it could not be done again."""
    made = await api.submit(notify=["bob"])
    path = f"{SCRIPTS}/{made['id']}"
    digest = await api.digest(made["id"])
    for act, body in (
        ("request-authorization", None),
        ("authorize", {"digest": digest}),
        ("withdraw", {"reason": "not tonight"}),
        ("rehearse", None),
    ):
        first, again = [
            await api("POST", f"{path}/{act}", body, person="bob", Idempotency_Key=f"all-{act}") for _ in range(2)
        ]
        assert first.status < 300, (act, first.text)
        assert (first.status, first.text) == (again.status, again.text), act
        assert again.headers["Idempotent-Replayed"] == "true"
        assert first.headers.get("Location") == again.headers.get("Location")
    kinds = [event["kind"] for event in (await api("GET", f"/events?script_id={made['id']}")).json()]
    assert sorted(kinds) == sorted(
        ["submitted", "authorization_requested", "authorized", "authorization_withdrawn", "rehearsed"]
    )


async def test_a_key_is_one_persons(api: Api) -> None:
    made = await api.submit()
    body = {"digest": await api.digest(made["id"])}
    path = f"{SCRIPTS}/{made['id']}/authorize"
    (await api("POST", path, body, person="bob", Idempotency_Key="shared")).json()
    # Another's answer is not shown under the same key: the act is tried in the own name.
    (await api("POST", path, body, person="carol", Idempotency_Key="shared")).problem(
        409, "conflict", "authorized already"
    )
    (await api("POST", path, body, Idempotency_Key="shared")).problem(409, "conflict")
    later = datetime.now(UTC) + timedelta(days=1)
    (
        await api(
            "POST", "/freezes", {"until": later.isoformat(), "reason": "x"}, person="bob", Idempotency_Key="shared"
        )
    ).problem(409, "idempotency_key_reused")
