"""How values are written where two writings have to be alike: in what is hashed or signed, and in JSON. As in SQL:
tminus.netstring and tminus.api_time."""

from __future__ import annotations

from datetime import UTC, datetime


def netstring(value: str | bytes) -> bytes:
    """Write a value so that nothing beside it can be taken for part of it: its length in bytes, ":", itself, ","."""
    data = value.encode() if isinstance(value, str) else value
    return b"%d:%s," % (len(data), data)


def moment_text(value: datetime) -> str:
    """Write a moment: in UTC, with microseconds and a Z."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
