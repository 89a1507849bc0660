"""Who may get into the router, and by what: users and their keys, the SSH server, the services."""

from __future__ import annotations

from collections.abc import Iterator

from .finding import Finding, Severity
from .selection import CUTS, Which
from .steps import EXPECTED, Step, say

_USERS = "Users, their groups or keys are changed ({}), perhaps the one by whom we log in; see that our login stays as it is."


def changes_access(step: Step) -> Iterator[Finding]:
    """What a command may do to our login."""
    match step.menu, step.verb:
        case ("ip", "service"), _:
            yield from _services(step)
        case ("ip", "ssh"), _:
            yield from _ssh(step)
        case ("user", *_), _:
            yield from _users(step)
        case ("radius",), "add" | "set" | "remove" | "disable":
            yield say(step, "user-changed", Severity.WARNING, _USERS.format(f"{step.verb} in /radius"))
        case (), "password":
            yield say(step, "user-changed", Severity.DANGER, _USERS.format("the password of whom the script runs as"))
        case _:
            pass


def _services(step: Step) -> Iterator[Finding]:
    if step.verb not in CUTS and step.verb != "enable":
        return
    ssh = step.selection.could_be({"name": "ssh"})
    if step.verb == "enable" and ssh and step.selection.which is Which.NAMED:
        return
    if ssh and step.verb != "enable":
        yield say(
            step,
            "ssh-service-changed",
            Severity.DANGER,
            "The SSH service is changed (port, address, certificate or whether it runs), and no later session may get in; change the"
            f" site with it, and {EXPECTED}.",
        )
    else:
        yield say(
            step,
            "service-changed",
            Severity.NOTE,
            "Services of the router (not SSH) are changed; tools that use them may stop.",
        )


def _ssh(step: Step) -> Iterator[Finding]:
    match step.verb:
        case "set" | "reset":
            yield say(
                step,
                "ssh-settings-changed",
                Severity.DANGER,
                "Settings of the SSH server are changed (algorithms, host key type, passwords, forwarding), and the daemon may not get in"
                " any more; rehearse the next login with one router first.",
            )
        case "regenerate-host-key" | "import-host-key":
            yield say(
                step,
                "host-key-changed",
                Severity.DANGER,
                "The router's host key becomes another, and the daemon refuses it until the new one is pinned ('tminus site pin').",
            )
        case _:
            pass


def _users(step: Step) -> Iterator[Finding]:
    if step.verb in (None, "print", "find", "get", "export", "comment"):
        return
    if step.menu[1:2] == ("ssh-keys",):
        yield say(
            step,
            "user-key-changed",
            Severity.DANGER,
            "SSH keys of users are changed; a user with a key can no longer log in by password, and one without it not by key; see that"
            " our login stays as it is.",
        )
        return
    mild = step.verb in ("add", "enable") or step.menu[1:2] in (("aaa",), ("settings",))
    severity = Severity.WARNING if mild else Severity.DANGER
    yield say(step, "user-changed", severity, _USERS.format(f"{step.verb} in /{'/'.join(step.menu)}"))
