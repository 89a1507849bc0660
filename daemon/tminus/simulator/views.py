"""Menus whose items are computed from what the router is and does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from .config import Item
from .menus import Path
from .permissions import SCRIPT_POLICY, group_policy, groups
from .router import MIB, Router
from .values import Duration


def rows(router: Router, path: Path) -> tuple[Item, ...] | None:
    """The items of a computed menu; None for a menu that is kept in the configuration."""
    build = _VIEWS.get(path)
    return tuple(build(router)) if build else None


def _only(values: dict[str, str | None]) -> Iterator[Item]:
    yield Item(id=1, values={name: value for name, value in values.items() if value is not None})


def _resource(router: Router) -> Iterator[Item]:
    version, hardware = router.version, router.hardware
    yield from _only(
        {
            "uptime": Duration(router.uptime_s).short(),
            "version": f"{version.text} ({version.channel})",
            "build-time": version.build_time,
            "factory-software": None if hardware.chr else "6.44.6",
            "free-memory": str(187 * MIB),
            "total-memory": str(256 * MIB),
            "cpu": hardware.cpu,
            "cpu-count": "2",
            "cpu-frequency": "880",
            "cpu-load": "1",
            "free-hdd-space": str(router.free_storage),
            "total-hdd-space": str(max(16 * MIB, router.files.capacity)),
            "architecture-name": hardware.architecture,
            "board-name": hardware.board,
            "platform": "MikroTik",
        }
    )


def _routerboard(router: Router) -> Iterator[Item]:
    hardware = router.hardware
    if hardware.chr:
        yield from _only({"routerboard": "no"})
        return
    yield from _only(
        {
            "routerboard": "yes",
            "board-name": hardware.board,
            "model": hardware.model,
            "serial-number": hardware.serial,
            "firmware-type": "mt7621L",
            "factory-firmware": "6.44.6",
            "current-firmware": router.firmware,
            "upgrade-firmware": router.version.text,
        }
    )


def _license(router: Router) -> Iterator[Item]:
    if router.hardware.chr:
        yield from _only({"system-id": router.hardware.software_id, "level": "free"})
    else:
        yield from _only({"software-id": router.hardware.software_id, "nlevel": "4", "features": ""})


def _device_mode(router: Router) -> Iterator[Item]:
    scheduler = "no" if router.device_mode == "home" else "yes"
    yield from _only({"mode": router.device_mode, "scheduler": scheduler})


def _groups(router: Router) -> Iterator[Item]:
    for number, name in enumerate(groups(), 1):
        yield Item(id=number, values={"name": name, "policy": group_policy(router, name).replace(",", ";")})


def _update(router: Router) -> Iterator[Item]:
    latest = router.setup.upgrade_to or router.version.text
    status = "New version is available" if latest != router.version.text else "System is already up to date"
    yield from _only(
        {
            "channel": router.version.channel,
            "installed-version": router.version.text,
            "latest-version": latest,
            "status": status,
        }
    )


def _package(router: Router) -> Iterator[Item]:
    name = f"routeros-{router.hardware.architecture}" if router.version.legacy else "routeros"
    values = {"name": name, "version": router.version.text, "build-time": router.version.build_time, "scheduled": ""}
    yield Item(id=1, values=values)


def _history(router: Router) -> Iterator[Item]:
    for entry in reversed(router.history):
        yield Item(
            id=entry.id,
            values={
                "action": entry.action,
                "by": entry.by,
                "policy": "write",
                "time": router.version.log_time(entry.moment),
                "redo": entry.redo,
            },
        )


def _jobs(router: Router) -> Iterator[Item]:
    for job in router.jobs.values():
        if not job.listed:
            continue
        values = {
            "script": job.script,
            "owner": job.owner,
            "policy": ",".join(word for word in SCRIPT_POLICY if word in job.policy),
            "started": router.version.stamp(job.started),
            "type": job.kind,
        }
        if job.parent is not None:
            values["parent"] = f"*{job.parent:X}"
        yield Item(id=job.id, values=values)


def _log(router: Router) -> Iterator[Item]:
    for line in router.log:
        time = router.version.log_time(line.moment)
        yield Item(id=line.id, values={"time": time, "topics": line.topics, "message": line.message})


def _files(router: Router) -> Iterator[Item]:
    for file in router.files.visible():
        changed = router.version.stamp(datetime.fromtimestamp(file.changed, UTC))
        kind = {"rsc": "script", "backup": "backup", "txt": ".txt file"}.get(file.name.rpartition(".")[2], "file")
        stamp = "last-modified" if router.version.iso_dates else "creation-time"
        if file.directory:
            yield Item(id=file.id, values={"name": file.name, "type": "directory", stamp: changed})
            continue
        values = {"name": file.name, "type": kind, "size": str(len(file.content)), stamp: changed}
        if len(file.content) <= (4096 if router.version.legacy else 60 * 1024):  # documented
            values["contents"] = file.content.decode("utf-8", "surrogateescape")
        yield Item(id=file.id, values=values)


def _interfaces(router: Router) -> Iterator[Item]:
    kinds = {"ethernet": "ether", "wireguard": "wg"}
    for menu, item in router.config.interfaces():
        disabled = item.get(menu, "disabled") or "no"
        values = {
            "name": item.values["name"],
            "type": kinds.get(menu.path[1], menu.path[1]),
            "mtu": item.get(menu, "mtu") or "",
            "mac-address": item.values.get("mac-address", ""),
            "disabled": disabled,
            "running": "no" if disabled == "yes" else "yes",
        }
        if "comment" in item.values:
            values["comment"] = item.values["comment"]
        yield Item(id=item.id, values=values)


_VIEWS = {
    ("system", "resource"): _resource,
    ("system", "routerboard"): _routerboard,
    ("system", "license"): _license,
    ("system", "package"): _package,
    ("system", "package", "update"): _update,
    ("system", "device-mode"): _device_mode,
    ("user", "group"): _groups,
    ("system", "history"): _history,
    ("system", "script", "job"): _jobs,
    ("log",): _log,
    ("file",): _files,
    ("interface",): _interfaces,
}
