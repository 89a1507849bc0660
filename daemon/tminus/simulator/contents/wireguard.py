"""The keys of a WireGuard interface: one without a private key gets one, and the public key follows from it."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tminus.simulator.errors import RunError

_BYTES = 32


def keys(given: Mapping[str, str | None], *, new: bool) -> dict[str, str]:
    """The key properties that follow from what was given; nothing if no key is concerned. ``new``: of a new interface."""
    text = given.get("private-key")
    if not text:
        if not new:
            return {}
        text = base64.b64encode(X25519PrivateKey.generate().private_bytes_raw()).decode()
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != _BYTES:
        raise RunError("invalid value for argument private-key", argument="private-key")  # [uncertain: no transcript]
    public = X25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()
    return {"private-key": text, "public-key": base64.b64encode(public).decode()}
