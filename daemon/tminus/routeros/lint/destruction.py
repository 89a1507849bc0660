"""What may destroy, end the script without proof, or do more than the script says: reboots, resets, files, code from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from .finding import Finding, Severity
from .selection import Which
from .steps import Step, say

_WAY_OUT = "set expects_disconnect, or put it into ':execute' after the rest"
_ASKS = "; on a terminal it asks first, and there is no terminal here: ':execute \"{}\"' does not depend on that"

# After which the session is gone, or with the next reboot what was: path, code, what happens, what it asks about.
_PACKAGES = "Packages are changed, at once or with the next reboot"
_ENDS = {
    "/system/reboot": ("reboot", "The router reboots, and the script ends there", True),
    "/system/shutdown": ("shutdown", "The router turns itself off until somebody is there", True),
    "/system/reset-configuration": (
        "reset-configuration",
        "The whole configuration is erased, our login with it, and the router reboots",
        True,
    ),
    "/system/backup/load": (
        "backup-load",
        "The configuration is replaced by that of a backup, and the router reboots",
        True,
    ),
    "/system/upgrade": ("upgrade", "Packages are upgraded and the router reboots", False),
    "/system/package/update/install": (
        "upgrade",
        "Another RouterOS version is installed and the router reboots",
        False,
    ),
    "/system/package/downgrade": ("upgrade", _PACKAGES, False),
    "/system/package/uninstall": ("upgrade", _PACKAGES, False),
    "/system/package/apply-changes": ("upgrade", _PACKAGES, False),
    "/system/package/disable": ("upgrade", _PACKAGES, False),
    "/system/package/enable": ("upgrade", _PACKAGES, False),
    "/system/routerboard/upgrade": ("firmware-upgrade", "The boot firmware is written, for the next reboot", True),
}

_UNDONE = "The latest change is undone or done again, whoever made it; write the opposite command instead."
_CERTIFICATES = "Certificates are removed or revoked, and the private key of one is in no export; services and VPNs that use it stop."
_DISK = "A disk is erased or taken away, with all that is on it; see that nobody needs that."
_PARTITIONS = "Partitions of the router are changed, and what is on one may be lost; do it on site."
_STORED = (
    "Code is stored on the router and runs there whenever its event comes or somebody starts it, without being authorized again;"
    " see that it is wanted for good."
)
_OTHER_DEVICE = "A command is run on another device, which is not among the sites that are authorized; make it a site."
_LOGGING = (
    "What the router logs is changed; its log is where it is looked up how a run ended whose connection was lost."
)
_DEVICE_MODE = (
    "The device mode waits for a button or the power plug at the device, some minutes long, and is undone if nobody is there; do"
    " it on site."
)
_TOLD = {
    "/system/device-mode/update": (
        "device-mode",
        Severity.DANGER,
        _DEVICE_MODE,
    ),
    "/system/routerboard/settings/set": (
        "firmware-settings",
        Severity.WARNING,
        "Settings of the boot loader are changed; a wrong one is mended at the device only.",
    ),
    "/import": (
        "imports-file",
        Severity.DANGER,
        "Another file on the router is run, and nobody has seen here what it does; put its commands into this script.",
    ),
    "/system/script/run": (
        "runs-stored-script",
        Severity.WARNING,
        "A script that is stored on the router is run, and it may be another on each; put its commands into this script.",
    ),
    "/system/script/job/remove": (
        "job-stopped",
        Severity.WARNING,
        "Scripts that run on the router are stopped, perhaps this one; choose them by script and owner.",
    ),
    "/undo": ("undo", Severity.DANGER, _UNDONE),
    "/redo": ("undo", Severity.DANGER, _UNDONE),
    "/certificate/remove": ("certificate-removed", Severity.DANGER, _CERTIFICATES),
    "/certificate/issued-revoke": ("certificate-removed", Severity.DANGER, _CERTIFICATES),
    "/disk/format": ("disk-erased", Severity.DANGER, _DISK),
    "/disk/format-drive": ("disk-erased", Severity.DANGER, _DISK),
    "/disk/eject-drive": ("disk-erased", Severity.DANGER, _DISK),
    "/partitions/activate": ("partition-changed", Severity.DANGER, _PARTITIONS),
    "/partitions/copy-to": ("partition-changed", Severity.DANGER, _PARTITIONS),
    "/partitions/repartition": ("partition-changed", Severity.DANGER, _PARTITIONS),
    "/partitions/restore-config-from": ("partition-changed", Severity.DANGER, _PARTITIONS),
    "/system/script/add": ("stored-for-later", Severity.NOTE, _STORED),
    "/system/scheduler/add": ("stored-for-later", Severity.NOTE, _STORED),
    "/system/scheduler/enable": ("stored-for-later", Severity.NOTE, _STORED),
    "/system/ssh-exec": ("other-device", Severity.WARNING, _OTHER_DEVICE),
    "/system/watchdog/set": (
        "watchdog-changed",
        Severity.WARNING,
        "The watchdog reboots the router when it takes it for hung, or when a host does not answer; see that this host always does.",
    ),
    "/system/logging/set": ("logging-changed", Severity.NOTE, _LOGGING),
    "/system/logging/remove": ("logging-changed", Severity.NOTE, _LOGGING),
    "/system/logging/disable": ("logging-changed", Severity.NOTE, _LOGGING),
    "/system/logging/action/set": ("logging-changed", Severity.NOTE, _LOGGING),
    "/system/logging/action/remove": ("logging-changed", Severity.NOTE, _LOGGING),
}


def destroys(step: Step) -> Iterator[Finding]:
    """What a command may destroy or end."""
    path = f"/{'/'.join((*step.menu, step.verb or ''))}"
    if path in _ENDS:
        yield _ends(step, path)
    elif path in _TOLD:
        code, severity, message = _TOLD[path]
        yield say(step, code, severity, message)
    elif path == "/file/remove":
        yield say(
            step,
            "file-removed",
            Severity.DANGER if step.selection.which in (Which.ALL, Which.COMPUTED) else Severity.WARNING,
            "Files are deleted from the router, and nothing brings them back; name each, and see that no backup or certificate is among"
            " them.",
        )
    elif path in ("/quit", "/exit") and not (step.around.later or step.around.detached):
        yield say(
            step,
            "ends-without-marker",
            Severity.DANGER,
            f"':{step.verb}' ends the script before our marker, so that it cannot be proved that it succeeded and the run ends as"
            " unknown; leave it out, or raise ':error' where it failed.",
        )


def _ends(step: Step, path: str) -> Finding:
    """Something after which the session is gone."""
    code, what, asks = _ENDS[path]
    if step.around.later:
        what = f"{what} when the stored script or event runs, not now; see that it is meant."
    elif step.around.detached:
        what = f"{what}, from a job of its own; set expects_disconnect, so that it is waited for."
    else:
        asks = asks and not step.has("password")
        question = _ASKS.format(path.replace("/", " ").replace(" ", "/", 1)) if asks else ""
        what = f"{what}; {_WAY_OUT}{question}."
    return say(step, code, Severity.DANGER, what)
