"""Keys that an issuer publishes under a URL: fetched when they are needed, kept, and fetched again for a key not seen yet."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

import aiohttp
import structlog

from tminus.errors import ConfigError
from tminus.web.problems import Code, Problem
from tminus.web.tokens import Key, parse_jwks

log = structlog.get_logger()

_FETCH_WITHIN = 5.0  # seconds
LARGEST = 256 * 1024  # bytes, of a JWK set
_FRESH_FOR = 600.0
_LOOK_AGAIN_AFTER = 30.0
"""So that tokens with invented key ids make no traffic."""


def check_url(url: str) -> str:
    """Return `url`. Raises ConfigError unless it is https, or http on this host."""
    parts = urlsplit(url)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise ConfigError(f"api_jwks_url is {url!r}; whoever can change the keys on their way is everybody: use https")
    return url


class PublishedKeys:
    """The keys of a URL. Old ones are used while the URL does not answer."""

    def __init__(self, url: str) -> None:
        self._url = check_url(url)
        self._keys: tuple[Key, ...] = ()
        self._fetched = float("-inf")
        self._tried = float("-inf")
        self._lock = asyncio.Lock()

    async def keys(self, wanted: str | None) -> tuple[Key, ...]:
        if self._is_due(wanted):
            async with self._lock:
                if self._is_due(wanted):
                    await self._fetch()
        if not self._keys:
            raise Problem(
                Code.KEYS_UNAVAILABLE,
                "the keys that prove tokens could not be fetched",
                headers={"Retry-After": str(int(_LOOK_AGAIN_AFTER))},
            )
        return self._keys

    def _is_due(self, wanted: str | None) -> bool:
        now = time.monotonic()
        if now - self._tried < (1.0 if not self._keys else _LOOK_AGAIN_AFTER):
            return False
        unknown = wanted is not None and all(key.id != wanted for key in self._keys)
        return unknown or now - self._fetched > _FRESH_FOR

    async def _fetch(self) -> None:
        self._tried = time.monotonic()
        try:
            async with asyncio.timeout(_FETCH_WITHIN):
                self._keys = parse_jwks(await _download(self._url))
            self._fetched = time.monotonic()
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            log.warning("api_keys_not_fetched", url=self._url, error=str(error) or "no answer in time")


async def _download(url: str) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(url, allow_redirects=False) as response:
        if response.status != 200:
            raise ValueError(f"it answered {response.status}")
        document = b""
        async for chunk in response.content.iter_chunked(64 * 1024):
            document += chunk
            if len(document) > LARGEST:
                raise ValueError(f"it sends more than {LARGEST} bytes")
        return document
