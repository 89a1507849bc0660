"""What may destroy, lock people out, or end the script without proof: reboots, resets, users, files, code from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from .finding import Finding, Severity, finding
from .selection import Which
from .steps import Step

_EXPECTED = "set expects_disconnect, or put it into ':execute' after the rest"
_ASKS = "; on a terminal it asks first, and there is no terminal here: ':execute \"{}\"' does not depend on that"
_USERS = "Users, their groups or keys are changed ({}), perhaps the one by whom we log in; see that our login stays as it is."


def destroys(step: Step) -> Iterator[Finding]:  # noqa: PLR0912 - one case a menu
    """What a command may destroy or end."""
    match step.menu, step.verb:
        case ("system",), "reboot":
            yield _ends(step, "reboot", "The router reboots, and the script ends there", "/system reboot")
        case ("system",), "shutdown":
            yield _ends(step, "shutdown", "The router turns itself off until somebody is there", "/system shutdown")
        case ("system",), "reset-configuration":
            yield _ends(
                step,
                "reset-configuration",
                "The whole configuration is erased, our login with it, and the router reboots",
                "/system reset-configuration",
            )
        case ("system", "backup"), "load":
            asks = "/system backup load" if not step.has("password") else ""
            yield _ends(
                step, "backup-load", "The configuration is replaced by that of a backup, and the router reboots", asks
            )
        case ("system",), "upgrade":
            yield _ends(step, "upgrade", "Packages are upgraded and the router reboots", "")
        case ("system", "package", "update"), "install":
            yield _ends(step, "upgrade", "Another RouterOS version is installed and the router reboots", "")
        case ("system", "package"), "downgrade" | "uninstall" | "apply-changes" | "disable" | "enable":
            yield _ends(step, "upgrade", f"Packages are changed ({step.verb}), at once or with the next reboot", "")
        case ("system", "routerboard"), "upgrade":
            yield _ends(
                step,
                "firmware-upgrade",
                "The boot firmware is written, for the next reboot",
                "/system routerboard upgrade",
            )
        case ("system", "routerboard", "settings", *_), "set":
            yield _say(
                step,
                "firmware-settings",
                Severity.WARNING,
                "Settings of the boot loader are changed; a wrong one is mended at the device only.",
            )
        case ("system", "device-mode"), "update":
            yield _say(
                step,
                "device-mode",
                Severity.DANGER,
                "The device mode waits for a button or the power plug at the device, some minutes long, and is undone if nobody is there;"
                " do it on site.",
            )
        case ("user", *_), _:
            yield from _users(step)
        case ("radius",), "add" | "set" | "remove" | "disable":
            yield _say(step, "user-changed", Severity.WARNING, _USERS.format(f"{step.verb} in /radius"))
        case (), "password":
            yield _say(step, "user-changed", Severity.DANGER, _USERS.format("the password of whom the script runs as"))
        case ("file",), "remove":
            yield _say(
                step,
                "file-removed",
                Severity.DANGER if step.selection.which in (Which.ALL, Which.COMPUTED) else Severity.WARNING,
                "Files are deleted from the router, and nothing brings them back; name each, and see that no backup or certificate is"
                " among them.",
            )
        case ("disk",), "format-drive" | "format" | "eject-drive" | "erase":
            yield _say(step, "disk-erased", Severity.DANGER, "A disk is erased or taken away, with all that is on it.")
        case ("certificate",), "remove" | "revoke" | "issued-revoke":
            yield _say(
                step,
                "certificate-removed",
                Severity.DANGER,
                "Certificates are removed or revoked, and the private key of one is in no export; services and VPNs that use it stop.",
            )
        case (), "import":
            yield _say(
                step,
                "imports-file",
                Severity.DANGER,
                "Another file on the router is run, and nobody has seen here what it does; put its commands into this script.",
            )
        case ("system", "script"), "run":
            yield _say(
                step,
                "runs-stored-script",
                Severity.WARNING,
                "A script that is stored on the router is run, and it may be another on each; put its commands into this script.",
            )
        case (), "quit" | "exit" if not step.around.later and not step.around.detached:
            yield _say(
                step,
                "ends-without-marker",
                Severity.DANGER,
                f"':{step.verb}' ends the script before our marker, so that it cannot be proved that it succeeded and the run ends as"
                " unknown; leave it out, or raise ':error' where it failed.",
            )
        case (), "undo" | "redo":
            yield _say(
                step,
                "undo",
                Severity.DANGER,
                "The latest change is undone or done again, whoever made it; write the opposite command instead.",
            )
        case ("system", "script", "job"), "remove":
            yield _say(
                step,
                "job-stopped",
                Severity.WARNING,
                "Scripts that run on the router are stopped, perhaps this one; choose them by script and owner.",
            )
        case _:
            pass


def _say(step: Step, code: str, severity: Severity, message: str) -> Finding:
    return finding(code, severity, step.at, message)


def _ends(step: Step, code: str, what: str, asks: str) -> Finding:
    """Something after which the session is gone."""
    if step.around.later:
        return _say(
            step, code, Severity.DANGER, f"{what} when the stored script or event runs, not now; see that it is meant."
        )
    if step.around.detached:
        return _say(
            step,
            code,
            Severity.DANGER,
            f"{what}, from a job of its own; set expects_disconnect, so that it is waited for.",
        )
    question = _ASKS.format(asks) if asks else ""
    return _say(step, code, Severity.DANGER, f"{what}; {_EXPECTED}{question}.")


def _users(step: Step) -> Iterator[Finding]:
    if step.verb in (None, "print", "find", "get", "export", "comment"):
        return
    adds = step.verb in ("add", "enable")
    severity = Severity.WARNING if adds or step.menu[1:2] in (("aaa",), ("settings",)) else Severity.DANGER
    if step.menu[1:2] == ("ssh-keys",):
        yield _say(
            step,
            "user-key-changed",
            Severity.DANGER,
            "SSH keys of users are changed; a user with a key can no longer log in by password, and one without it not by key; see that"
            " our login stays as it is.",
        )
        return
    yield _say(step, "user-changed", severity, _USERS.format(f"{step.verb} in /{'/'.join(step.menu)}"))
