"""Letters as plain-text mail, through one SMTP server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY

import aiosmtplib
from pydantic import SecretStr

from tminus.channels.letter import Letter, Send
from tminus.channels.security import Security
from tminus.errors import ChannelError, LetterRefused

_GOODBYE_WITHIN = 3.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """`domains` are those whose addresses are written to, and no other's: whoever keeps the contacts chooses addresses."""

    server: str
    port: int
    security: Security
    sender: str
    domains: frozenset[str]
    username: str | None = None
    password: SecretStr | None = field(default=None, repr=False)
    patience: float = 25.0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Send]:
        client = aiosmtplib.SMTP(
            hostname=self.server,
            port=self.port,
            use_tls=self.security is Security.TLS,
            start_tls=self.security is Security.STARTTLS,
            username=self.username,
            password=self.password.get_secret_value() if self.password is not None else None,
            timeout=self.patience,
        )
        try:
            async with asyncio.timeout(self.patience):
                await client.connect()
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:  # TimeoutError is an OSError
            client.close()
            raise ChannelError(
                f"the mail server {self.server}:{self.port} let us not in: {_words(error)}; tried again later"
            ) from error

        async def send(letter: Letter) -> None:
            await self._send(client, letter)

        try:
            yield send
        finally:
            with suppress(aiosmtplib.SMTPException, OSError):
                async with asyncio.timeout(_GOODBYE_WITHIN):
                    await client.quit()
            client.close()

    async def _send(self, client: aiosmtplib.SMTP, letter: Letter) -> None:
        domain = letter.address.rpartition("@")[2].lower()
        if domain not in self.domains:
            raise LetterRefused(f"{domain} is not one of mail_domains, so {letter.address} is not written to")
        try:
            message = self.compose(letter)
        except (ValueError, LookupError) as error:
            # An address, or a sentence, that the mail library cannot read: it will not be better tomorrow.
            raise LetterRefused(f"no mail can be made of the letter: {_words(error)}") from error
        try:
            async with asyncio.timeout(self.patience):
                await client.send_message(message, sender=self.sender, recipients=[letter.address])
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refusal(error.recipients[0]) from error
        except (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPAuthenticationError) as error:
            # Ours to mend, and no fault of the letter.
            raise ChannelError(f"the mail server refused us: {_words(error)}; tried again later") from error
        except aiosmtplib.SMTPResponseException as error:
            raise _refusal(error) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise ChannelError(
                f"the mail server did not take the letter: {_words(error)}; tried again later"
            ) from error

    def compose(self, letter: Letter) -> EmailMessage:
        """Return the message as it is sent. Neither lines in the subject nor long lines in the text get through as such."""
        message = EmailMessage(policy=SMTP_POLICY)
        message["From"] = self.sender
        message["To"] = letter.address
        message["Subject"] = letter.subject
        message["Date"] = letter.made_at
        message["Message-ID"] = f"<{letter.id}@{self.sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.text, cte="quoted-printable")
        return message


def _refusal(error: aiosmtplib.SMTPResponseException) -> ChannelError:
    if 500 <= error.code < 600:
        return LetterRefused(f"the mail server refused the letter for good: {_words(error)}")
    return ChannelError(f"the mail server did not take the letter: {_words(error)}; tried again later")


def _words(error: BaseException) -> str:
    """What the server said, on one line; it may be anything."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{error.code} {' '.join(str(error.message).split())[:300]}"
    return " ".join(str(error).split())[:300] or "no answer in time"
