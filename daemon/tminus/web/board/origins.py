"""Where a request comes from, as far as a browser tells: what is sent by another site's page is refused.

The cookie is SameSite=Strict, so a browser does not even send it with such a request, and each form holds a secret of its session;
this is the third lock, and the only one of the log-in form, which has no session yet.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """`public_url`: where browsers find the board, if it is not known from their requests: behind a proxy."""

    public_url: str

    def is_own(self, *, host: str, origin: str | None, fetch_site: str | None) -> bool:
        """Whether a request that changes something was sent by a page of ours."""
        if origin is None:
            # Old browsers send no Origin with a form of the same site; those that tell nothing at all are no browsers.
            return fetch_site == "same-origin"
        given = urlsplit(origin)
        if given.scheme not in ("http", "https") or not given.netloc:
            return False
        if self.public_url and (given.scheme, given.netloc.lower()) == self._public():
            return True
        return given.netloc.lower() == host.lower() and fetch_site in (None, "same-origin")

    def is_secure(self, host: str) -> bool:
        """Whether the cookie may only travel over TLS: always, but for somebody who is on this machine."""
        return self._public()[0] == "https" or not is_loopback(host)

    def _public(self) -> tuple[str, str]:
        public = urlsplit(self.public_url)
        return public.scheme, public.netloc.lower()


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
