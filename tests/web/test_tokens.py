"""Who gets in: what a token must have, what proves it, and what never does."""

from __future__ import annotations

import base64
import json
import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.web.conftest import SECRET, Api, serve, token
from tminus.web.jwks import PublishedKeys
from tminus.web.routes import PATH_PARTS, ROUTES
from tminus.web.tokens import SCOPES, FixedKeys, parse_jwks

pytestmark = pytest.mark.asyncio(loop_scope="module")

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
PUBLIC_PEM = RSA_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def jwks(*, rsa_kid: str = "r") -> str:
    keys = [
        json.loads(RSAAlgorithm.to_jwk(RSA_KEY.public_key())) | {"kid": rsa_kid, "use": "sig"},
        json.loads(ECAlgorithm.to_jwk(EC_KEY.public_key())) | {"kid": "e", "alg": "ES256"},
        json.loads(OKPAlgorithm.to_jwk(ED_KEY.public_key())) | {"kid": "d"},
        # Symmetric keys have no place in what everybody may read.
        {"kty": "oct", "kid": "s", "alg": "HS256", "k": base64.urlsafe_b64encode(SECRET).decode().rstrip("=")},
    ]
    return json.dumps({"keys": keys})


def claims(**other: object) -> dict[str, Any]:
    good = {
        "sub": "alice",
        "iss": "tminus",
        "aud": "tminus",
        "exp": datetime.now(UTC) + timedelta(hours=1),
        "scope": "script:view",
    }
    return {name: value for name, value in {**good, **other}.items() if value is not None}


def signed(key: Any = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **other: object) -> str:
    return jwt.encode(claims(**other), key, algorithm=algorithm, headers=headers)


def unsigned() -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    body = claims()
    return f"{part({'alg': 'none'})}.{part({**body, 'exp': body['exp'].timestamp()})}."


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: "", "send a token"),
        (lambda: "rubbish", "no JSON Web Token"),
        (unsigned, "no key here"),
        (lambda: signed(b"another secret, just as long as it"), "signature"),
        (lambda: signed(SECRET * 2, "HS512"), "no key here"),
        (lambda: signed(exp=datetime.now(UTC) - timedelta(minutes=1)), "expired"),
        (lambda: signed(nbf=datetime.now(UTC) + timedelta(minutes=5)), "not accepted"),
        (lambda: signed(exp=None), "claim exp"),
        (lambda: signed(sub=None), "claim sub"),
        (lambda: signed(aud="others"), "audience"),
        (lambda: signed(aud=None), "claim aud"),
        (lambda: signed(iss="others"), "issuer"),
        (lambda: signed(iss=None), "claim iss"),
        (lambda: signed(sub=""), "subject"),
        (lambda: signed(sub="a\nb"), "subject"),
        (lambda: signed(sub="x" * 201), "subject"),
        (lambda: signed(headers={"crit": ["exp"]}), "no JSON Web Token"),
    ],
)
async def test_a_token_that_is_not_right_in_every_way_is_refused(api: Api, make: Callable[[], str], words: str) -> None:
    reply = await api("GET", "/sites", bearer=make())
    reply.problem(401, "unauthenticated", words)
    assert reply.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_token_that_is_right_gets_in(api: Api) -> None:
    (await api("GET", "/sites", bearer=signed())).json()
    (await api("GET", "/sites", bearer=signed(aud=["others", "tminus"]))).json()


@pytest.mark.parametrize(
    "given",
    [
        {"scope": "a script:view"},
        {"scope": ["script:view"]},
        {"scope": None, "scp": "script:view"},
        {"scope": None, "permissions": ["script:view"]},
    ],
)
async def test_scopes_are_found_where_issuers_write_them(api: Api, given: dict[str, object]) -> None:
    (await api("GET", "/sites", bearer=signed(**given))).json()


_IDS = {name: uuid.UUID(int=0) if part.read is uuid.UUID else 1 for name, part in PATH_PARTS.items()}


@pytest.mark.parametrize("scope", sorted(SCOPES))
async def test_every_route_wants_its_own_scope(api: Api, scope: str) -> None:
    for route in ROUTES:
        bearer = token("alice", *(other for other in SCOPES if other != scope))
        reply = await api(route.method, route.path.format(**_IDS), {} if route.body else None, bearer=bearer)
        assert (reply.status == 403) == (route.scope == scope), (route.method, route.path, reply.text)
        if route.scope == scope:
            reply.problem(403, "scope_missing", scope)


async def test_no_route_can_be_used_without_a_token(api: Api) -> None:
    for route in ROUTES:
        path = route.path.format(**_IDS)
        (await api(route.method, path, {} if route.body else None, bearer="")).problem(401, "unauthenticated")


async def test_published_keys_prove_their_own_algorithm_and_no_other(api: Api) -> None:
    async with serve(api.db, source=FixedKeys(parse_jwks(jwks()))) as asymmetric:
        for key, algorithm, kid in ((RSA_KEY, "RS256", "r"), (EC_KEY, "ES256", "e"), (ED_KEY, "EdDSA", "d")):
            (await asymmetric("GET", "/sites", bearer=signed(key, algorithm, {"kid": kid}))).json()
            (await asymmetric("GET", "/sites", bearer=signed(key, algorithm))).json()
            wrong = await asymmetric("GET", "/sites", bearer=signed(key, algorithm, {"kid": "other"}))
            wrong.problem(401, "unauthenticated")
        # The public key taken for a shared secret; the symmetric key of the set; other algorithms of the same key.
        head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"r"}').rstrip(b"=")
        body = jwt.encode(claims(), SECRET, algorithm="HS256").split(".")[1].encode()
        import hashlib  # noqa: PLC0415
        import hmac  # noqa: PLC0415

        mac = base64.urlsafe_b64encode(hmac.digest(PUBLIC_PEM, head + b"." + body, hashlib.sha256)).rstrip(b"=")
        for forged in (
            b".".join((head, body, mac)).decode(),
            signed(SECRET, "HS256", {"kid": "s"}),
            signed(RSA_KEY, "RS512", {"kid": "r"}),
            signed(RSA_KEY, "PS256", {"kid": "r"}),
        ):
            (await asymmetric("GET", "/sites", bearer=forged)).problem(401, "unauthenticated")


async def test_keys_are_fetched_again_for_a_key_that_is_new(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    published = {"document": jwks(), "fetched": 0, "status": 200}

    async def answer(_: web.Request) -> web.Response:
        published["fetched"] += 1
        return web.Response(text=str(published["document"]), status=int(published["status"]))

    application = web.Application()
    application.router.add_get("/jwks.json", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        keys = PublishedKeys(f"http://127.0.0.1:{runner.addresses[0][1]}/jwks.json")
        async with serve(api.db, source=keys) as fetching:
            for _ in range(3):
                (await fetching("GET", "/sites", bearer=signed(RSA_KEY, "RS256", {"kid": "r"}))).json()
            assert published["fetched"] == 1, "kept"
            published["document"] = jwks(rsa_kid="new")
            rotated = signed(RSA_KEY, "RS256", {"kid": "new"})
            (await fetching("GET", "/sites", bearer=rotated)).problem(401, "unauthenticated")
            assert published["fetched"] == 1, "an invented key id makes no traffic"
            monkeypatch.setattr(keys, "_tried", float("-inf"))
            (await fetching("GET", "/sites", bearer=rotated)).json()
            assert published["fetched"] == 2
            published["status"] = 500
            monkeypatch.setattr(keys, "_tried", float("-inf"))
            monkeypatch.setattr(keys, "_fetched", float("-inf"))
            (await fetching("GET", "/sites", bearer=rotated)).json()
            assert published["fetched"] == 3, "old keys do while there is no answer"
    finally:
        await runner.cleanup()


async def test_without_any_key_nobody_gets_in_and_the_reason_is_said(api: Api) -> None:
    async with serve(api.db, source=PublishedKeys("http://127.0.0.1:1/jwks.json")) as keyless:
        reply = await keyless("GET", "/sites", bearer=signed(RSA_KEY, "RS256"))
        reply.problem(503, "keys_unavailable")
        assert int(reply.headers["Retry-After"]) > 0


async def test_no_token_is_ever_repeated(
    api: Api, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    for bearer in (signed(), signed(exp=datetime.now(UTC) - timedelta(days=1)), "rubbish-that-is-secret"):
        reply = await api("GET", "/sites?limit=0", bearer=bearer)
        said = capsys.readouterr()
        for part in bearer.split("."):
            assert part not in reply.text + caplog.text + said.out + said.err


async def test_what_is_no_http_is_answered_in_the_one_shape_and_never_repeated(
    api: Api, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    bearer = signed(pad="x" * 20000)
    reply = await api("GET", "/sites", bearer=bearer)
    reply.problem(400, "bad_request")
    said = capsys.readouterr()
    assert bearer[:60] not in reply.text + caplog.text + said.out + said.err
    assert reply.headers["Server"] == "tminus"
