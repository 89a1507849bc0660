"""Host keys: the pinned one is compared with the presented one here, byte for byte.

asyncssh reports a changed, an unknown and a wrongly typed key all alike; an operator has to know which it was, so
asyncssh is told to trust nothing by itself and asks us. Pure: no I/O, no asyncssh.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["HostKey", "HostKeyPolicy"]


class HostKeyPolicy(StrEnum):
    """What to do with a router whose key nobody has pinned. A key other than the pinned one is always refused."""

    PINNED = "pinned"
    """Do not log in."""
    ACCEPT_NEW = "accept-new"
    """Log in, and let the caller pin what was presented, with an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKey:
    """A public host key as it stands in an OpenSSH `.pub` file, without the comment."""

    kind: str
    """Such as `ssh-ed25519` or `ssh-rsa`; a key type, not a signature algorithm."""
    blob: bytes
    """The key in SSH wire format, which begins with the kind."""

    @classmethod
    def parse(cls, text: str) -> HostKey:
        """Read `KIND BASE64 [COMMENT]`; raise ValueError, whose text can be shown, if it is anything else."""
        words = text.split(maxsplit=2)
        if len(words) < 2 or "\n" in text.strip():
            raise ValueError("it is not one line of the form 'ssh-ed25519 AAAA…'")
        kind = words[0]
        try:
            blob = base64.b64decode(words[1], validate=True)
        except binascii.Error:
            raise ValueError("its second word is not base64") from None
        if not blob.startswith(len(kind).to_bytes(4, "big") + kind.encode()):
            raise ValueError(f"the key in it is not of type {kind}")
        return cls(kind=kind, blob=blob)

    @property
    def text(self) -> str:
        """Return `KIND BASE64`: what is stored as a site's `host_key`."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint in the form that OpenSSH shows, such as `SHA256:47DEQpj8…`."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    def __str__(self) -> str:
        return f"{self.kind} {self.fingerprint}"
