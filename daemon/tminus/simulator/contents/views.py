"""Menus whose items are computed from what the router is and does."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic

from tminus.simulator.config.config import Config, Item
from tminus.simulator.config.schema import Path
from tminus.simulator.config.tables.interfaces import KINDS_OF
from tminus.simulator.router import MIB, Router
from tminus.simulator.values import Duration, text_of

from .permissions import SCRIPT_POLICY, group_policy


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
    """What is configured, less what a test or a fault takes from all users."""
    for item in router.config.items(("user", "group")):
        yield replace(item, values={**item.values, "policy": group_policy(router, item.values["name"])})


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
                "undo": entry.undo,
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
        yield Item(id=job.id, values=values)


def _log(router: Router) -> Iterator[Item]:
    now = monotonic()
    for line in router.log:
        if line.readable_at > now:
            break
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


def _interfaces(router: Router) -> Iterable[Item]:
    return router.config.computed("interfaces", lambda config: tuple(_interface_rows(config)))


def _by_name(config: Config) -> dict[str, Item]:
    return {item.values["name"]: item for _, item in config.interfaces()}


def mac_of(config: Config, item: Item) -> str:
    """An interface's own address, that of the one it stands on, or one that is made from its id."""
    known = config.computed("interfaces by name", _by_name)
    lowest = item
    for _ in known:  # at most: they may stand on each other in a circle
        for name in ("mac-address", "admin-mac"):
            if name in lowest.values:
                return lowest.values[name]
        lowest = known.get(lowest.values.get("interface", ""), lowest)
    number = lowest.id
    return f"02:00:5E:{number >> 16 & 255:02X}:{number >> 8 & 255:02X}:{number & 255:02X}"


def _interface_rows(config: Config) -> Iterator[Item]:
    for menu, item in sorted(config.interfaces(), key=lambda pair: pair[1].id):
        disabled = item.get(menu, "disabled") or "no"
        values = {
            "name": item.values["name"],
            "type": KINDS_OF.get(menu.path[1], menu.path[1]),
            "mtu": item.get(menu, "mtu") or "",
            "mac-address": mac_of(config, item),
            "disabled": disabled,
            "running": "no" if disabled == "yes" else "yes",
        }
        values |= {name: item.values[name] for name in ("default-name", "comment") if name in item.values}
        mtu = values["mtu"] if values["mtu"].isdigit() else "1500"
        yield Item(id=item.id, values={**values, "actual-mtu": mtu}, factory=item.factory)


def _environment(router: Router) -> Iterator[Item]:
    for number, (name, value) in enumerate(router.globals.items(), 1):
        yield Item(id=number, values={"name": name, "value": text_of(value)})


def derived(router: Router, path: Path) -> Iterator[Item]:
    """Items that follow from others: each enabled address makes a connected route."""
    if path != ("ip", "route"):
        return
    for item in router.config.items(("ip", "address")):
        if item.values.get("disabled") != "yes" and not item.values["interface"].startswith("*"):
            address = ipaddress.ip_interface(item.values["address"])
            yield Item(
                id=_DERIVED + item.id,
                values={
                    "dst-address": str(address.network),
                    "gateway": item.values["interface"],
                    "immediate-gw": item.values["interface"],
                    "distance": "0",
                    "pref-src": str(address.ip),
                    "connect": "yes",
                },
                dynamic=True,
            )


_DERIVED = 0x80000000  # ids of items that are not kept

_VIEWS: Mapping[Path, Callable[[Router], Iterable[Item]]] = {
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
    ("system", "script", "environment"): _environment,
}
