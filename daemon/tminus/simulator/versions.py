"""RouterOS versions: what each one has. Any version can be simulated; the tested ones are in ``TESTED``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from tminus.errors import UsageError

_BUILT = {
    (6, 48, 7): "May/23/2023 05:27:08",
    (6, 49, 10): "Sep/07/2023 09:05:14",
    (7, 12, 2): "Dec/20/2023 08:41:00",
    (7, 16, 2): "2024-11-26 12:09:40",
    (7, 20, 8): "2026-01-30 10:12:21",
    (7, 24, 4): "2026-09-03 08:22:10",
}

TESTED = ("6.48.7", "6.49.10", "7.9.2", "7.12.2", "7.16.2", "7.20.8", "7.24.4")

# The first version whose console has a menu, a command (with its menu in front of it) or an argument (with its command).
# From RouterOS's own tree of 7.9 and later, and from what MikroTik and community.routeros say of versions; 7.0 where they
# only say that RouterOS 6 differs. What is in no table exists in every version: the public record does not say when it came.
_MENUS: Mapping[tuple[str, ...], tuple[int, int]] = {
    ("interface", "wifi"): (7, 13),
    ("interface", "wireguard"): (7, 1),
    ("ip", "dhcp-server", "matcher"): (7, 4),
    ("ip", "dns", "adlist"): (7, 15),
    ("ip", "dns", "forwarders"): (7, 17),
    ("ip", "vrf"): (7, 0),
    ("routing", "bfd", "configuration"): (7, 11),
    ("routing", "bgp", "connection"): (7, 0),
    ("routing", "bgp", "session"): (7, 0),
    ("routing", "bgp", "template"): (7, 0),
    ("routing", "filter", "community-list"): (7, 0),
    ("routing", "filter", "num-list"): (7, 0),
    ("routing", "filter", "rule"): (7, 0),
    ("routing", "filter", "select-rule"): (7, 0),
    ("routing", "ospf", "interface-template"): (7, 0),
    ("routing", "ospf", "static-neighbor"): (7, 0),
    ("routing", "route"): (7, 0),
    ("routing", "rule"): (7, 0),
    ("routing", "table"): (7, 0),
    ("safe-mode",): (7, 18),
    ("system", "ntp", "client", "servers"): (7, 0),
}
_COMMANDS: Mapping[tuple[str, ...], tuple[int, int]] = {
    ("exit",): (7, 22),
    ("file", "add"): (7, 0),
    ("file", "read"): (7, 13),
    ("grep",): (7, 13),
    ("onerror",): (7, 13),
    ("retry",): (7, 0),
    ("terminal", "ask"): (7, 12),
}
_ARGUMENTS: Mapping[tuple[str, ...], tuple[int, int]] = {
    ("console", "settings", "set", "log-script-errors"): (7, 18),
    ("export", "path"): (7, 23),  # of the command export of every menu
    ("export", "show-sensitive"): (7, 0),
    ("export", "where"): (7, 13),
    ("file", "add", "type"): (7, 15),
    ("import", "dry-run"): (7, 16),
    ("ip", "ssh", "set", "password-authentication"): (7, 21),
    ("serialize", "options"): (7, 16),
    ("system", "scheduler", "add", "days"): (7, 24),
    ("system", "scheduler", "set", "days"): (7, 24),
    ("system", "script", "run", "use-script-permissions"): (7, 15),
}

# The first version that does not have it any more.
_REMOVED: Mapping[tuple[str, ...], tuple[int, int]] = {
    ("ip", "ssh", "set", "always-allow-password-login"): (7, 21),
}

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True, slots=True)
class Version:
    """A release number; comparisons with tuples say which features it has."""

    number: tuple[int, int, int]
    text: str

    @classmethod
    def parse(cls, text: str) -> Version:
        found = re.fullmatch(r"([67])\.(\d{1,3})(?:\.(\d{1,3}))?", text)
        if found is None:
            raise UsageError(f"'{text}' is not a RouterOS 6 or 7 version that can be simulated; write it like 7.20.8")
        return cls((int(found[1]), int(found[2]), int(found[3] or 0)), text)

    @property
    def legacy(self) -> bool:
        return self.number < (7,)

    @property
    def channel(self) -> str:
        return "long-term" if self.legacy else "stable"

    @property
    def build_time(self) -> str:
        return _BUILT.get(self.number, "2025-03-11 11:59:04" if self.number >= (7, 16) else "Dec/20/2023 08:41:00")

    @property
    def iso_dates(self) -> bool:
        """Changed in 7.10, seen in export headers."""
        return self.number >= (7, 10)

    @property
    def has_onerror(self) -> bool:
        return self.number >= (7, 13)

    @property
    def has_dry_run(self) -> bool:
        return self.number >= (7, 16)

    @property
    def ed25519_user_keys(self) -> bool:
        """Whether a user may have an Ed25519 key: not on 7.9, since 7.12. Host keys of that kind came before."""
        return self.number >= (7, 12)

    @property
    def ed25519_host_key(self) -> bool:
        return self.number >= (7, 9)

    @property
    def password_beside_key(self) -> Mapping[str, str]:
        """What to set in ``/ip ssh`` so that a user with a public key may use a password, too. Renamed in 7.21."""
        if self.number >= (7, 21):
            return {"password-authentication": "yes"}
        return {"always-allow-password-login": "yes"}

    @property
    def return_needs_value(self) -> bool:
        """A bare ``:return`` is ``missing value(s) of argument(s) value``: seen on 7.21 and later."""
        return self.number >= (7, 21)

    @property
    def error_paths(self) -> bool:
        """``(<path>; line N)`` behind run-time errors: seen on 7.20 and later; the first version is not known."""
        return self.number >= (7, 18)

    @property
    def shows_secrets(self) -> bool:
        """RouterOS 6 exports secrets unless told not to, 7 only when told to."""
        return self.legacy

    @property
    def slash_paths(self) -> bool:
        """Since 7 the console writes ``/ip/address`` in messages; exports kept ``/ip address``."""
        return not self.legacy

    def has_menu(self, path: tuple[str, ...]) -> bool:
        """Whether there is a menu, and each above it; one of which nothing is known is always there."""
        return all(self.number >= _MENUS.get(path[:size], (0, 0)) for size in range(1, len(path) + 1))

    def has_command(self, path: tuple[str, ...], verb: str) -> bool:
        """Whether a menu that exists has a command."""
        return self.number >= _COMMANDS.get((*path, verb), (0, 0))

    def missing_arguments(self, path: tuple[str, ...], verb: str) -> frozenset[str]:
        """The arguments of a command that this version does not have yet, or does not have any more."""
        return _missing(self.number, ("export",) if verb == "export" else (*path, verb))

    def stamp(self, moment: datetime) -> str:
        """Date and time as this version's export header writes them."""
        if self.iso_dates:
            return moment.strftime("%Y-%m-%d %H:%M:%S")
        return f"{_MONTHS[moment.month - 1]}/{moment.day:02d}/{moment.year} {moment:%H:%M:%S}"

    def date(self, moment: datetime) -> str:
        return self.stamp(moment).split(" ")[0]

    def log_time(self, moment: datetime) -> str:
        """``/log`` shows the time alone on the same day on RouterOS 6; ``get`` on late 7 gives date and time."""
        return moment.strftime("%Y-%m-%d %H:%M:%S") if self.iso_dates else moment.strftime("%H:%M:%S")


@lru_cache(maxsize=4096)
def _missing(number: tuple[int, int, int], words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(
        argument
        for table, lacking in ((_ARGUMENTS, number.__lt__), (_REMOVED, number.__ge__))
        for (*command, argument), version in table.items()
        if tuple(command) == words and lacking(version)
    )
