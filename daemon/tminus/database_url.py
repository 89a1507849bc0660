"""Whether a text can be the URL of a PostgreSQL: found out where it is read, and told without showing it.

asyncpg takes much, and shows what it does not take, a password among it; and what has to be percent-encoded and is not, it
takes for another part of the URL.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

_BEGINNING = re.compile(r"postgres(?:ql)?://")
_HOST = re.compile(r"(?:[A-Za-z0-9._%-]+|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?\])(?::([0-9]{0,5}))?", re.ASCII)
_SHAPE = "postgresql://LOGIN:PASSWORD@HOST:PORT/DATABASE"
_ENCODE = "percent-encode / ? # @ [ ] and blanks in the password, such as %2F for /"


def why_no_database_url(url: str) -> str | None:
    """Say what is wrong with a URL, as a clause that holds nothing of it; None if nothing is."""
    if not _BEGINNING.match(url):
        return f"it does not begin with postgresql://, as in {_SHAPE}"
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        return f"it has a blank or a control character; {_ENCODE}"
    if "#" in url:
        return f"it has a '#', which ends it; {_ENCODE}"
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"its host cannot be read; {_ENCODE}"
    login, at, hosts = parts.netloc.rpartition("@")
    if "@" in login:
        return f"it has an '@' more than the one before the host; {_ENCODE}"
    if not at and "@" in parts.path:
        return f"it has a '/' before its '@'; {_ENCODE}"
    if hosts and not all(_is_host(host) for host in hosts.split(",")):
        return f"its host is none, or its port is no number from 1 to 65535; {_ENCODE}"
    return _why_no_query(parts.query)


def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    return found is not None and (not found[1] or _is_port(found[1]))


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535


def _why_no_query(query: str) -> str | None:
    if not query:
        return None
    try:
        named = parse_qs(query, strict_parsing=True)
    except ValueError:
        return f"what follows the '?' is no list of NAME=VALUE; {_ENCODE}"
    if not all(_is_port(port) for value in named.get("port", []) for port in value.split(",")):
        return "its port is no number from 1 to 65535"
    if not all(host for value in named.get("host", []) for host in value.split(",")):
        return "one of its hosts is empty"
    return None
