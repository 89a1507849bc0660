"""Variables of sites and scheduled scripts: which ones a script names, whose value counts, and how the digest sees them.

Migration 0005 does the same in SQL (tminus.variable_names, tminus.variables_of, tminus.variables_field).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tminus.domain.canonical import netstring

Value = str | int | bool
"""Text, a whole number, or yes and no."""
Variables = Mapping[str, Value]

PLACEHOLDER = re.compile(r"\$\(([A-Za-z][A-Za-z0-9_-]{0,63})\)")


def names_in(script: str) -> tuple[str, ...]:
    """Return the names in all `$(name)` of a script, in the order of their bytes, whatever stands around them.

    The digest covers them all; which of them are placeholders only `routeros.rendering` can tell.
    """
    return tuple(sorted(set(PLACEHOLDER.findall(script))))


def named_values(names: tuple[str, ...], script: Variables, site: Variables) -> dict[str, Value]:
    """Return the values that a script's names have on a site: the site's own, else the script's. Without those missing."""
    return {name: site[name] if name in site else script[name] for name in names if name in site or name in script}


def digest_field(values: Variables) -> str | None:
    """Return the digest's field `variables` of a site part; None where the script names none that has a value.

    For each name, in the order of their bytes: netstring(name) netstring(kind ":" text); kinds as JSON calls them.
    """
    fields = (netstring(name) + netstring(_kind_and_text(values[name])) for name in sorted(values))
    return b"".join(fields).decode() or None


def _kind_and_text(value: Value) -> str:
    match value:
        case bool():
            return f"boolean:{'true' if value else 'false'}"
        case int():
            return f"number:{value}"
        case _:
            return f"string:{value}"
