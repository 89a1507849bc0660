"""How a connection to a mail server is protected: what the configuration says, without a mail client."""

from __future__ import annotations

from enum import StrEnum


class Security(StrEnum):
    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"
