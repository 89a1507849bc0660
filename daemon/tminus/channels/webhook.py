"""Letters as signed POSTs of JSON, after the Standard Webhooks specification (headers webhook-id, -timestamp, -signature)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from pydantic import SecretStr

from tminus.channels.letter import Letter, Send
from tminus.errors import ChannelError, LetterRefused

_GONE = 410
_PREFIX = "whsec_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One endpoint. Its address comes from the configuration alone: who writes contacts only names it."""

    name: str
    url: str = field(repr=False)  # may hold a token
    secret: SecretStr = field(repr=False)
    patience: float = 20.0
    now: Callable[[], float] = time.time

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Send]:
        limits = aiohttp.ClientTimeout(total=self.patience)
        # No proxy of the environment, no cookies: what leaves is what is written here.
        async with aiohttp.ClientSession(timeout=limits, cookie_jar=aiohttp.DummyCookieJar()) as session:

            async def send(letter: Letter) -> None:
                await self._post(session, letter)

            yield send

    async def _post(self, session: aiohttp.ClientSession, letter: Letter) -> None:
        body = letter.document.encode()
        at = int(self.now())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "tminus",
            "webhook-id": str(letter.id),
            "webhook-timestamp": str(at),
            "webhook-signature": f"v1,{sign(self.secret.get_secret_value(), str(letter.id), at, body)}",
        }
        try:
            # A redirection is not followed: it could lead anywhere. What is answered is not read: only the status counts.
            async with session.post(self.url, data=body, headers=headers, allow_redirects=False) as answer:
                status = answer.status
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            words = type(error).__name__ if not isinstance(error, TimeoutError) else "no answer in time"
            raise ChannelError(f"webhook {self.name} was not reached: {words}; tried again later") from error
        if status == _GONE:
            raise LetterRefused(f"webhook {self.name} answered {_GONE}: it is gone for good")
        if not 200 <= status < 300:
            raise ChannelError(f"webhook {self.name} answered {status}; tried again later")


def key_of(secret: str) -> bytes:
    """Return the key of a secret: what is base64 behind `whsec_`, else its UTF-8 bytes. Raises ValueError."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"behind {_PREFIX} stands no base64") from None


def sign(secret: str, letter: str, at: int, body: bytes) -> str:
    """Return the signature: base64 of the HMAC-SHA256 over id, timestamp (Unix seconds) and body, joined by dots."""
    signed = b".".join((letter.encode(), str(at).encode(), body))
    return base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()
