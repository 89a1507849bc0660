"""A mail server and a webhook's receiver that take letters, refuse them, stall, and come back."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import SecretStr

from tminus.channels.mail import Mail
from tminus.channels.security import Security
from tminus.channels.webhook import Webhook

SECRET = "a secret of more than sixteen bytes"


@dataclass
class MailServer:
    """`answer` is what it says to a letter; None: nothing, for ever."""

    answer: str | None = "250 OK"
    letters: list[EmailMessage] = field(default_factory=list)
    asked: int = 0
    port: int = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.asked += 1
        if self.answer is None:
            await asyncio.get_running_loop().create_future()
        assert self.answer is not None
        if self.answer.startswith("250"):
            content = envelope.content
            assert isinstance(content, bytes)
            message = email.message_from_bytes(content, policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            self.letters.append(message)
        return self.answer

    def ids(self) -> list[str]:
        return [message["Message-ID"] for message in self.letters]

    def channel(self, **settings: Any) -> Mail:
        return Mail(
            **{
                "server": "127.0.0.1",
                "port": self.port,
                "security": Security.NONE,
                "sender": "tminus@example.net",
                "domains": frozenset({"example.net"}),
                "patience": 2.0,
            }
            | settings
        )


@asynccontextmanager
async def mail_server(port: int = 0) -> AsyncIterator[MailServer]:
    box = MailServer()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(box, hostname="mail.test", loop=loop), "127.0.0.1", port)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()


@dataclass
class Receiver:
    """`status` is what it answers; 0: nothing, for ever."""

    status: int = 204
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    port: int = 0

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        if self.status == 0:
            await asyncio.get_running_loop().create_future()
        return web.Response(status=self.status, headers=self.headers)

    def channel(self, **settings: Any) -> Webhook:
        url = f"http://127.0.0.1:{self.port}/hook?token=hidden"
        return Webhook(**{"name": "chat", "url": url, "secret": SecretStr(SECRET), "patience": 2.0} | settings)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    box = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", box.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    box.port = runner.addresses[0][1]
    try:
        yield box
    finally:
        await runner.cleanup()
