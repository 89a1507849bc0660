"""Who calls: bearer tokens (JWT), strictly checked, and minted for small set-ups.

A key decides the algorithm, never the token: an RSA key proves RS256, a P-256 key ES256, an Ed25519 key EdDSA, the shared
secret HS256. Issuer, audience and expiry are required. No token, and no part of one, is ever logged or answered.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tminus.errors import ConfigError
from tminus.web.problems import Code, Problem

SCOPES: Mapping[str, str] = {
    "script:view": "look at everything",
    "script:create": "make scheduled scripts",
    "script:update": "edit scheduled scripts",
    "script:authorize": "authorize",
    "script:run": "rehearse, test, run now, hold and resume launches, let waves go, retry, resolve",
    "script:delete": "cancel",
    "site:update": "add and change sites, windows and caps on tags",
    "site:freeze": "freeze and thaw",
    "contact:update": "look at and change how people are told",
}

LEEWAY = timedelta(seconds=10)
_PUBLIC = frozenset({"RS256", "ES256", "EdDSA"})
_LEAST_SECRET = 32  # bytes
_LONGEST_SUBJECT = 200
_LEAST_RSA = 2048  # bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whom a token speaks for."""

    name: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    algorithm: str
    material: Any = field(repr=False)
    id: str | None = None


class KeySource(Protocol):
    """Where the keys come from."""

    async def keys(self, wanted: str | None) -> tuple[Key, ...]:
        """Return all keys; a key of the id `wanted` that is not there may be worth a look at the source."""
        ...


@dataclass(frozen=True, slots=True)
class FixedKeys:
    """Keys that stay as they are."""

    known: tuple[Key, ...]

    async def keys(self, wanted: str | None) -> tuple[Key, ...]:  # noqa: ARG002 - there are no others
        return self.known


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Proves tokens of one issuer for one audience."""

    issuer: str
    audience: str
    source: KeySource

    async def person(self, header: str | None) -> Person:
        """Return whom an Authorization header speaks for. Raises Problem (401; 503 where the keys can't be fetched)."""
        return (await self.proof(header))[0]

    async def proof(self, header: str | None) -> tuple[Person, datetime]:
        """Return whom an Authorization header speaks for, and until when. Raises Problem as `person` does."""
        kind, _, token = (header or "").partition(" ")
        token = token.strip()
        if kind.lower() != "bearer" or not token:
            raise _refused("send a token: Authorization: Bearer TOKEN")
        try:
            head = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise _refused("the token is no JSON Web Token") from None
        wanted = head.get("kid")
        if wanted is not None and not isinstance(wanted, str):
            raise _refused("the token names no key")
        keys = await self.source.keys(wanted)
        fitting = [
            key
            for key in keys
            if key.algorithm == head.get("alg") and (wanted is None or key.id is None or key.id == wanted)
        ]
        if not fitting:
            raise _refused("no key here proves this token")
        for key in fitting:
            claims = self._claims(token, key)
            if claims is not None:
                return _person(claims), _expiry(claims)
        raise _refused("the signature of the token is not that of a key known here")

    def _claims(self, token: str, key: Key) -> dict[str, Any] | None:
        """Return the claims; None if the signature is not this key's."""
        try:
            return jwt.decode(
                token,
                key.material,
                algorithms=[key.algorithm],
                issuer=self.issuer,
                audience=self.audience,
                leeway=LEEWAY,
                options={"require": ["exp", "sub", "iss", "aud"]},
            )
        except jwt.InvalidSignatureError:
            return None
        except jwt.ExpiredSignatureError:
            raise _refused("the token has expired") from None
        except jwt.InvalidAudienceError:
            raise _refused("the token is for another audience") from None
        except jwt.InvalidIssuerError:
            raise _refused("the token is of another issuer") from None
        except jwt.MissingRequiredClaimError as error:
            raise _refused(f"the token has no claim {error.claim}") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
            raise _refused("the token is not accepted") from None


def _person(claims: Mapping[str, Any]) -> Person:
    name = claims["sub"]
    if not isinstance(name, str) or not 1 <= len(name) <= _LONGEST_SUBJECT or not name.isprintable():
        raise _refused(f"the subject of the token is not 1 to {_LONGEST_SUBJECT} printable characters")
    # Names that look the same would be two pairs of eyes.
    if name != name.strip() or not unicodedata.is_normalized("NFC", name):
        raise _refused("the subject of the token begins or ends with a blank, or is not in Unicode's form NFC")
    scopes: set[str] = set()
    # RFC 8693 writes one string; some issuers write lists, and under other names.
    for claim in ("scope", "scp", "permissions"):
        match claims.get(claim):
            case str() as words:
                scopes.update(words.split())
            case list() as words:
                scopes.update(word for word in words if isinstance(word, str))
            case _:
                pass
    return Person(name=name, scopes=frozenset(scopes & SCOPES.keys()))


def _expiry(claims: Mapping[str, Any]) -> datetime:
    """Return when a proved token ends; what lies beyond the calendar is a year from now."""
    latest = datetime.now(UTC) + timedelta(days=366)
    return datetime.fromtimestamp(min(int(claims["exp"]), latest.timestamp()), UTC)


def _refused(why: str) -> Problem:
    return Problem(Code.UNAUTHENTICATED, why, headers={"WWW-Authenticate": 'Bearer realm="tminus"'})


def read_secret(file: Path) -> bytes:
    """Read the shared secret of HS256. Raises ConfigError."""
    try:
        if file.stat().st_mode & 0o007:
            raise ConfigError(f"everybody may read the secret {file}: chmod o= {file}")
        secret = file.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"the secret {file} (api_secret_file) cannot be read: {error.strerror}") from error
    if len(secret) < _LEAST_SECRET:
        raise ConfigError(
            f"the secret {file} has {len(secret)} bytes and needs {_LEAST_SECRET}: make one with 'openssl rand -hex 32'"
        )
    return secret


def secret_key(secret: bytes) -> Key:
    return Key(algorithm="HS256", material=secret)


def parse_jwks(document: bytes | str) -> tuple[Key, ...]:
    """Return the keys of a JWK set that can prove tokens. Raises ValueError if it is no set, or has none.

    Symmetric keys are passed over: a set is public. So are keys that are too small, or of other uses.
    """
    try:
        parsed = jwt.PyJWKSet.from_json(document.decode() if isinstance(document, bytes) else document)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise ValueError("it is no JWK set with a key that is understood") from error
    keys = tuple(
        Key(algorithm=algorithm, material=jwk.key, id=jwk.key_id)
        for jwk in parsed.keys
        if jwk.public_key_use in (None, "sig") and (algorithm := _algorithm(jwk.key)) in _PUBLIC & {jwk.algorithm_name}
    )
    if not keys:
        raise ValueError("it has no public key for RS256 (2048 bits or more), ES256 or EdDSA")
    return keys


def _algorithm(material: object) -> str | None:
    match material:
        case rsa.RSAPublicKey() if material.key_size >= _LEAST_RSA:
            return "RS256"
        case ec.EllipticCurvePublicKey() if isinstance(material.curve, ec.SECP256R1):
            return "ES256"
        case ed25519.Ed25519PublicKey():
            return "EdDSA"
        case _:
            return None


def mint(secret: bytes, *, name: str, scopes: tuple[str, ...], issuer: str, audience: str, valid: timedelta) -> str:
    """Sign a token with the shared secret."""
    now = datetime.now(UTC)
    return jwt.encode(
        {"iss": issuer, "aud": audience, "sub": name, "iat": now, "exp": now + valid, "scope": " ".join(scopes)},
        secret,
        algorithm="HS256",
    )
