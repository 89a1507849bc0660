"""The one place where the exceptions of asyncssh and of the socket become ours.

Each function takes what is known about a failure and returns the exception to raise `from` it. Text that a router may
have chosen is cleaned.
"""

from __future__ import annotations

import os
import socket

import asyncssh

from tminus.device.callbacks import Client, Transport
from tminus.device.profiles import SshProfile
from tminus.device.target import Limits, Target
from tminus.errors import ConnectionLost, DeviceError, HostKeyChanged, LoginRefused, Offline

__all__ = ["banner", "describe", "exchange_error", "login_error", "stall", "unreachable"]


def unreachable(target: Target, error: OSError | UnicodeError) -> Offline:
    """Explain why there is no TCP connection."""
    return Offline(f"{target} is offline: {_socket_problem(error)}")


def stall(target: Target, transport: Transport, limits: Limits, *, connected: bool) -> Offline:
    """Explain what did not happen within the connect timeout."""
    if not connected:
        what = "no answer to TCP"
    elif not banner(transport):
        what = "no SSH banner"
    else:
        what = "no end of the key exchange"
    return Offline(f"{target} is offline: {what} within {limits.connect_timeout:g} s")


def exchange_error(target: Target, client: Client, transport: Transport) -> DeviceError:
    """Explain why a connection ended before the key exchange did."""
    hint = ""
    if target.ssh_profile is SshProfile.MODERN:
        hint = "; if it runs RouterOS 6, set the site's ssh_profile to 'legacy'"
    match client.reason:
        case asyncssh.HostKeyNotVerifiable() if client.pinned:
            presented = client.presented or "one that cannot be read"
            return HostKeyChanged(
                f"host key of {target} changed: pinned is {' or '.join(map(str, client.pinned))}, presented was {presented};"
                f" not logged in; if the change is legitimate, {target.how_to_pin}"
            )
        case asyncssh.KeyExchangeFailed() if client.presented:
            return HostKeyChanged(
                f"{target} presents the host key {client.presented} without proving to own it; not logged in;"
                " somebody may stand between us and the router"
            )
        case asyncssh.KeyExchangeFailed() as error:
            return Offline(f"{target} is offline: no SSH algorithm in common ({_cleaned(error.reason)}){hint}")
        case asyncssh.ConnectionLost() | None if banner(transport):
            return Offline(f"{target} is offline: it closed the connection during the key exchange{hint}")
        case asyncssh.ConnectionLost() | None:
            return Offline(f"{target} is offline: it closed the connection without an SSH banner")
        case error:
            return Offline(f"{target} is offline: no usable SSH server answers there ({describe(error)})")


def login_error(target: Target, username: str, client: Client) -> DeviceError:
    """Explain why a connection ended between the key exchange and the end of the login.

    A goodbye by SSH message once our secret is out counts as a refusal, whatever its wording: another attempt would be
    a second failed login, and firewalls count those. A connection that merely breaks does not.
    """
    kind = "password" if client.credential is None or client.credential.key is None else "key"
    name = client.credential.name if client.credential else ""
    login = f"login of {username!r} with the {kind} {name!r}"
    match client.reason:
        case asyncssh.PermissionDenied() if not client.secret_used:
            return LoginRefused(f"{target} offers no login with a {kind}, so the {login} was not tried")
        case asyncssh.ConnectionLost() | OSError():
            return ConnectionLost(f"{target} was lost during the {login} ({describe(client.reason)})")
        case asyncssh.DisconnectError() | None if client.secret_used:
            return LoginRefused(f"{target} refused the {login} ({describe(client.reason)}); it is not tried again")
        case error:
            return ConnectionLost(f"{target} ended the {login} ({describe(error)})")


def describe(error: BaseException | None) -> str:
    """Say in a few words how a connection or a channel ended."""
    match error:
        case None:
            return "closed by the router"
        case asyncssh.DisconnectError() | asyncssh.SFTPError():
            return _cleaned(error.reason) or f"code {error.code}"
        case asyncssh.ChannelOpenError():
            return _cleaned(error.reason) or f"it opens no session, code {error.code}"
        case OSError() | UnicodeError():
            return _socket_problem(error)
        case _:
            return _cleaned(f"{type(error).__name__}: {error}")


def banner(transport: Transport) -> str:
    """Return the router's identification, such as `SSH-2.0-ROSSSH`, cleaned; empty if none came."""
    return _cleaned(str(transport.get_extra_info("server_version", "")))


def _socket_problem(error: OSError | UnicodeError) -> str:
    match error:
        case socket.gaierror():
            return f"its name cannot be resolved ({error.strerror})"
        case OSError(errno=int() as number):
            return os.strerror(number)
        case UnicodeError():
            return "its address is no valid host name"
        case _:
            return _cleaned(str(error))  # the name has several addresses, each with a problem of its own


def _cleaned(text: str) -> str:
    """Return text fit for a message: printable ASCII, and not much of it."""
    clean = "".join(character if " " <= character <= "~" else "?" for character in text)
    return clean if len(clean) <= 300 else clean[:297] + "..."
