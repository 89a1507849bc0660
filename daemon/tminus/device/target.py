"""Which router, and what every connection is held to."""

from __future__ import annotations

from dataclasses import dataclass

from tminus.device.profiles import SshProfile

__all__ = ["Limits", "Target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a site's router is, and how it proves itself."""

    site_id: str
    address: str
    """Host name or IP address."""
    port: int
    username: str | None
    """Wins over the user name of the credential."""
    host_key: str | None
    """The pinned key, `KIND BASE64`."""
    ssh_profile: SshProfile
    jump_host: str | None = None
    """Through which it is reached, for messages."""
    how_to_pin: str = ""
    """What a person does about a changed key, for messages; made from the site, unless given."""

    def __post_init__(self) -> None:
        if not self.how_to_pin:
            object.__setattr__(self, "how_to_pin", f"pin the new key with 'tminus site pin {self.site_id}'")

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        through = f" through {self.jump_host}" if self.jump_host is not None else ""
        return f"{self.site_id} ({host}:{self.port}{through})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What every connection of a process is held to. Times are in seconds."""

    connect_timeout: float = 10.0
    """For TCP, the banner and the key exchange together."""
    login_timeout: float = 15.0
    """From the end of the key exchange to the verdict on the credential."""
    window: int = 16 * 1024 * 1024
    """Bytes that a router may send unacknowledged. RouterOS drops what does not fit and still says exit status 0
    (seen), so this exceeds every cap: a cap works by abort, never by back-pressure."""
    keepalive_interval: float = 15.0
    keepalive_misses: int = 3
    """A router is taken for lost after interval x misses of silence."""
    close_timeout: float = 2.0

    def __post_init__(self) -> None:
        if min(self.connect_timeout, self.login_timeout, self.keepalive_interval, self.close_timeout) <= 0:
            raise ValueError("limits are positive numbers of seconds")
        if self.keepalive_misses < 2:
            raise ValueError("one missed keepalive proves nothing: allow two at least")

    @property
    def silence(self) -> float:
        """Return the seconds of silence after which a router is taken for lost."""
        return self.keepalive_interval * self.keepalive_misses
