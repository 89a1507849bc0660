"""Diffie-Hellman in a group that the router chooses (RFC 4419), at a price that we choose.

asyncssh hands the group to OpenSSL, which proves that one it does not know is made of primes: half a second for 2,048 bits and
half a minute for 8,192 (measured), on the event loop and before anything is known of who asks for it. Here its size is
looked at, as OpenSSH's client does, and two powers are taken: 30 ms for 4,096 bits. That the router signs what was exchanged
with its host key is checked by asyncssh, as for every exchange.
"""

from __future__ import annotations

import secrets
from hashlib import sha1, sha256

import asyncssh
from asyncssh.kex import register_kex_alg
from asyncssh.kex_dh import _KexDHGex

__all__ = ["register"]

_LEAST_BITS = 2048
_LEAST_BITS_OF_LEGACY = 1024  # of the exchange with SHA-1, which only RouterOS 6 is offered
_MOST_BITS = 8192  # as many as asyncssh asks for
_EXPONENT_BITS = 512  # twice what the largest group is worth


class _Group:
    """One exchange in one group: what asyncssh's own `DH` does."""

    def __init__(self, g: int, p: int, *, least_bits: int) -> None:
        """Raises KeyExchangeFailed for a group that is no good."""
        if not least_bits <= p.bit_length() <= _MOST_BITS or p % 2 == 0 or not 1 < g < p - 1:
            raise asyncssh.KeyExchangeFailed(
                f"it wants a Diffie-Hellman group of {p.bit_length()} bits that is no good"
            )
        self._g, self._p = g, p
        self._exponent = secrets.randbits(_EXPONENT_BITS) | 1 << (_EXPONENT_BITS - 1)

    def get_public(self) -> int:
        return pow(self._g, self._exponent, self._p)

    def get_shared(self, peer_public: int) -> int:
        if not 1 < peer_public < self._p - 1:
            raise asyncssh.KeyExchangeFailed("its Diffie-Hellman value is no good")
        return pow(peer_public, self._exponent, self._p)


class _GroupExchange(_KexDHGex):
    def _perform_init(self) -> None:
        legacy = self.algorithm.endswith(b"-sha1")
        group = _Group(self._g, self._p, least_bits=_LEAST_BITS_OF_LEGACY if legacy else _LEAST_BITS)
        self._dh = group  # type: ignore[assignment]  # has the two methods that are called
        self._e = group.get_public()
        self._send_init()


def register() -> None:
    """Have asyncssh's clients in this process exchange keys so. Doing it again changes nothing."""
    for name, hashed in ((b"sha256", sha256), (b"sha1", sha1)):
        register_kex_alg(b"diffie-hellman-group-exchange-" + name, _GroupExchange, hashed, (), default=False)
