"""Which algorithms are offered to a router, in which order. Pure: names only, no asyncssh.

The order is by what a connection costs here, within what is sound. curve25519 with aes128-gcm takes 40 % less CPU than
asyncssh's own order (ML-KEM and ChaCha20 first); ML-KEM is left out, since RouterOS has no post-quantum key exchange.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

__all__ = ["ALGORITHMS", "Algorithms", "SshProfile", "host_key_algorithms"]


class SshProfile(StrEnum):
    """Which algorithms a site may use."""

    MODERN = "modern"
    LEGACY = "legacy"
    """RouterOS 6: SHA-1, CBC and 1024-bit Diffie-Hellman besides all that MODERN has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithms:
    """The names offered for one profile, best first."""

    key_exchange: tuple[str, ...]
    ciphers: tuple[str, ...]
    macs: tuple[str, ...]


_MODERN = Algorithms(
    key_exchange=(
        "curve25519-sha256",
        "curve25519-sha256@libssh.org",
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
        "diffie-hellman-group14-sha256",
        # The only one left on RouterOS 7.6 with strong-crypto=yes (seen).
        "diffie-hellman-group-exchange-sha256",
        "diffie-hellman-group16-sha512",
        "diffie-hellman-group18-sha512",
        "diffie-hellman-group14-sha1",
    ),
    ciphers=(
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
        "chacha20-poly1305@openssh.com",
    ),
    macs=(
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-512",
        "hmac-sha1-etm@openssh.com",
        "hmac-sha1",
    ),
)

ALGORITHMS = {
    SshProfile.MODERN: _MODERN,
    # What RouterOS 6 offered besides (seen on 6.3x).
    SshProfile.LEGACY: Algorithms(
        key_exchange=(
            *_MODERN.key_exchange,
            "diffie-hellman-group-exchange-sha1",
            "diffie-hellman-group1-sha1",
        ),
        ciphers=(*_MODERN.ciphers, "aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"),
        macs=(*_MODERN.macs, "hmac-md5"),
    ),
}

_SIGNATURES = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"),
    "ssh-ed448": ("ssh-ed448",),
    "ssh-dss": ("ssh-dss",),
}
"""The signature algorithms of each kind of key, best first."""

_BROKEN = frozenset({"ssh-rsa", "ssh-dss"})
"""Signatures over SHA-1: trusted in the legacy profile alone."""


@cache
def host_key_algorithms(pinned_kind: str | None, profile: SshProfile) -> tuple[str, ...]:
    """Return the host key algorithms to offer, so that a key of another kind is *shown* to us rather than hidden.

    Those of the pinned key come first: a router with several keys presents that one. All others follow, the broken ones
    too, because a key of another kind than the pinned one is refused whatever signed it, and `HostKeyChanged` with both
    fingerprints says more than a failed negotiation. With nothing pinned, the modern profile leaves those out.
    """
    own = _SIGNATURES.get(pinned_kind or "", ())
    others = tuple(name for names in _SIGNATURES.values() for name in names if name not in own)
    if profile is SshProfile.LEGACY:
        return own + others
    if pinned_kind is None:
        return tuple(name for name in others if name not in _BROKEN)
    return tuple(name for name in own if name not in _BROKEN) + others
