"""Who may log in to a router."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncssh

from tminus.simulator.behaviour import Keyboard
from tminus.simulator.faults import Fault
from tminus.simulator.journal import Kind
from tminus.simulator.router import Router
from tminus.simulator.terminal import LoginName

from .connection import Connection
from .session import Session

if TYPE_CHECKING:
    from .server import Host


def takes_passwords(router: Router, *, has_key: bool) -> bool:
    """Whether ``/ip ssh`` lets a user log in by password, who may have a public key. Renamed in 7.21."""
    path = ("ip", "ssh")
    if router.version.number < (7, 21):
        return not has_key or router.config.value(path, "always-allow-password-login") == "yes"
    match router.config.value(path, "password-authentication"):
        case "yes":
            return True
        case "no":
            return False
        case _:  # yes-if-no-key
            return not has_key


class Login(asyncssh.SSHServer):
    """Who may log in, and what a session is."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._connection: asyncssh.SSHServerConnection | None = None
        self._username = ""
        self._method = "none"
        self._failed = False

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        if self._failed:
            self._host.failures += 1
        if exc is not None:
            self._host.router.record(Kind.CONNECTION_LOST, reason=type(exc).__name__)

    def begin_auth(self, username: str) -> bool:
        self._username = LoginName.parse(username).user
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        """A user with a key may not use a password, unless ``/ip ssh`` allows it: documented."""
        has_key = self._username == self._host.username and bool(self._host.client_keys)
        return takes_passwords(self._host.router, has_key=has_key)

    def kbdint_auth_supported(self) -> bool:
        """asyncssh takes passwords by it where this says nothing."""
        if self._host.router.behaviour.keyboard_interactive is Keyboard.OFFERED:
            return NotImplemented  # type: ignore[no-any-return]  # asyncssh's way to say: as for passwords
        return False

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        right = self._username == self._host.username and key.public_data in self._host.client_keys
        if not self._host.router.version.ed25519_user_keys and key.get_algorithm() != "ssh-rsa":
            right = False
        return self._decide("publickey", right)

    def validate_password(self, username: str, password: str) -> bool:  # noqa: ARG002
        return self._decide("password", self._host.knows(self._username, password))

    def _decide(self, method: str, right: bool) -> bool:
        router, username = self._host.router, self._username
        refuses = Fault.REFUSES_LOGIN in router.faults
        if right and not refuses and self._host.may_log_in(username):
            self._method = method
            return True
        self._failed = True
        router.record(Kind.LOGIN_REFUSED, username=username, method=method)
        message = f"login failure for user {username} from 127.0.0.1 via ssh"
        router.write_log("system,error,critical", message)
        return False

    def auth_completed(self) -> None:
        self._failed = False
        self._host.failures = 0
        self._host.router.record(Kind.LOGIN, username=self._username, method=self._method)
        message = f"user {self._username} logged in from 127.0.0.1 via ssh"
        self._host.router.write_log("system,info,account", message)

    def session_requested(self) -> Session | bool:
        connection = self._connection
        if not isinstance(connection, Connection):
            raise TypeError("a session without a connection")
        if not connection.channel_opened():
            return False
        return Session(self._host.router, self._username, wire=connection)
