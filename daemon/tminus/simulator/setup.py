"""What a simulated device is and how its owner has set it up: facts of one site, not open questions about RouterOS."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class HostKey(StrEnum):
    """Which host key a router presents; one type at a time.

    RSA is what RouterOS makes unless it is told otherwise. The usual one here is Ed25519, as seen on a 7.24: it takes no
    time to make, and fleets are large.
    """

    ED25519 = "ed25519"  # not before 7.9
    RSA = "rsa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    host_key: HostKey = HostKey.ED25519
    """Type of the host key. RouterOS before 7.9 has an RSA key whatever is asked for."""

    password_login: bool = False
    """Whether ``/ip ssh`` lets a user with a public key log in by password, too: by default it does not."""

    flash_folder: bool = False
    """Whether there is a folder ``flash``: all files outside of it are then in RAM, and lost by a reboot."""

    storage_kb: int = 3428
    """Free storage in KiB while there are no files."""

    lacks: tuple[str, ...] = ()
    """Policies that the group of our user does not have: ``ftp``, ``write``, ``policy``, ``test``, ``sensitive`` …"""

    device_mode: str = "advanced"
    """``home`` refuses schedulers and more on RouterOS 7.17 and later."""

    max_sessions: int = 20
    """SSH connections at a time, since 7.16; one more is closed at once."""

    upgrade_to: str = ""
    """The version that ``/system package update install`` brings; empty: there is none."""

    clock_ahead_s: float = 0.0
    """Seconds by which the router's clock is ahead; negative: behind."""


ORDINARY = Setup()
