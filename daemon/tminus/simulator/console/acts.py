"""Commands that do something to the device as a whole: reboot, backup, reset, upgrade, running stored scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from tminus.simulator.config.menus import BY_PATH
from tminus.simulator.config.reach import MANAGER
from tminus.simulator.config.schema import Path
from tminus.simulator.contents.backup import WrongBackup, pack, unpack
from tminus.simulator.contents.items import select, select_one
from tminus.simulator.contents.permissions import rights, script_rights
from tminus.simulator.errors import Rebooted, RunError
from tminus.simulator.files import NO_SPACE, StorageFull
from tminus.simulator.journal import Kind
from tminus.simulator.safemode import SafeMode
from tminus.simulator.values import Array, Value, number_of, text_of
from tminus.simulator.versions import Version

from .frame import Frame
from .reset import reset

MAX_CHUNK = 32_768  # of ``/file read``; documented


async def confirmed(frame: Frame, question: str) -> bool:
    """Whether a command that asks may go on; a job without a session asks nobody."""
    ask = frame.console.ask
    return ask is None or await ask(question)


async def go_down(frame: Frame) -> Value:
    """Reboot, at once or while the rest of the script still runs."""
    router = frame.console.router
    delay = router.behaviour.reboot_delay_s
    by = ""
    if router.behaviour.reboot_says_who and not router.version.legacy and frame.console.ask is not None:
        by = f"ssh:{frame.console.user}@{MANAGER}/{frame.bound.verb}"
    if not delay:
        router.reboot(by=by)
        raise Rebooted

    async def later() -> None:
        await asyncio.sleep(delay)
        router.reboot(by=by)

    router.tasks.start(later(), "reboot")
    return None


async def _reboot(frame: Frame) -> Value:
    return await go_down(frame) if await confirmed(frame, "Reboot, yes? [y/N]: ") else None


async def _save(frame: Frame) -> Value:
    """Without a name it is called after the router and the time, as documented."""
    router = frame.console.router
    name = await frame.text("name") if "name" in frame.bound.named else ""
    name = name or f"{router.identity}-{router.now():%Y%m%d-%H%M}"
    password = "" if await frame.text("dont-encrypt") in ("yes", "true") else text_of(await frame.value("password"))
    content = pack(router.config.freeze(), password)
    try:
        router.files.put(name if name.endswith(".backup") else f"{name}.backup", content)
    except StorageFull:
        raise RunError(NO_SPACE) from None
    frame.console.write("Configuration backup saved\n")
    return None


async def _load(frame: Frame) -> Value:
    """Restore and reboot. Where nobody can be asked for the password, it has to be given, even an empty one."""
    router = frame.console.router
    missing = [name for name in ("name", "password") if name not in frame.bound.named]
    if missing:
        raise RunError(f"missing value(s) of argument(s) {' '.join(missing)}")
    name = await frame.text("name")
    file = router.files.get(name) or router.files.get(f"{name}.backup")
    if file is None:
        raise RunError("failure: no such file")  # uncertain: no transcript has the router's own words
    try:
        tables = unpack(file.content, text_of(await frame.value("password")))
    except WrongBackup:
        raise RunError("failure: wrong password or not a backup file") from None  # uncertain, as above
    if not await confirmed(frame, "Restore and reboot? [y/N]: "):
        return None
    frame.console.write("Restoring system configuration\n")
    router.config.become(tables)
    router.record(Kind.RESTORED, name=file.name)
    frame.console.write("System configuration restored, rebooting now\n")
    return await go_down(frame)


async def _reset(frame: Frame) -> Value:
    if not await confirmed(frame, "Dangerous! Reset anyway? [y/N]: "):
        return None
    after = await frame.text("run-after-reset") if "run-after-reset" in frame.bound.named else None
    frame.console.write("system configuration will be reset\n")
    reset(
        frame.console,
        bare=await frame.text("no-defaults") in ("yes", "true"),
        keep_users=await frame.text("keep-users") in ("yes", "true"),
        run_after=after,
    )
    return await go_down(frame)


async def _regenerate_host_key(frame: Frame) -> Value:
    """Who connects from now on sees another host key; open connections go on."""
    # That it asks, and its words, are uncertain: no transcript is known.
    if await confirmed(frame, "This will regenerate current SSH host keys, yes? [y/N]: "):
        frame.console.router.host_key_generation += 1
    return None


async def _install(frame: Frame) -> Value:
    """Install what ``Setup.upgrade_to`` names, and reboot into it."""
    router = frame.console.router
    if router.setup.upgrade_to in ("", router.version.text):
        frame.console.write("            status: System is already up to date\n")
        return None
    router.next_version = Version.parse(router.setup.upgrade_to)
    frame.console.write("            status: Downloaded, rebooting...\n")
    return await go_down(frame)


async def _check_for_updates(frame: Frame) -> Value:
    router = frame.console.router
    latest = router.setup.upgrade_to or router.version.text
    status = "System is already up to date" if latest == router.version.text else "New version is available"
    lines = {
        "channel": router.version.channel,
        "installed-version": router.version.text,
        "latest-version": latest,
        "status": status,
    }
    frame.console.write("".join(f"{name:>19}: {value}\n" for name, value in lines.items()))
    return None


async def _upgrade(frame: Frame) -> Value:
    """Firmware is in use after the next reboot."""
    router = frame.console.router
    if await confirmed(frame, "Do you really want to upgrade firmware? [y/n] "):
        router.next_firmware = router.version.text
        router.write_log(
            "system,info,critical", "Firmware upgraded successfully, please reboot for changes to take effect!"
        )
    return None


async def _run_script(frame: Frame) -> Value:
    """Run a stored script in this session. Refused if it may do what the caller may not."""
    console, router = frame.console, frame.console.router
    menu = BY_PATH["system", "script"]
    item = select_one(router, menu, await frame.needed("number"))
    owner = rights(router, item.values.get("owner", ""))
    asked = script_rights(item.values.get("policy", ""), owner)
    if item.values.get("dont-require-permissions") != "yes" and not asked <= console.rights:
        if await frame.text("use-script-permissions") not in ("yes", "true"):
            raise RunError("cannot run, not enough permissions.")
        console = console.fork(rights=asked)
    count = int(item.values.get("run-count", "0")) + 1
    router.config.change(menu, item, {"run-count": str(count), "last-started": router.version.stamp(router.now())})
    outer, console.script = console.script, item.values["name"]
    try:
        return await console.run(item.values.get("source", "").encode("utf-8", "surrogateescape"))
    finally:
        console.script = outer


async def _read_file(frame: Frame) -> Value:
    """A piece of a file, as an array with ``data``."""
    router = frame.console.router
    file = router.files.get(await frame.text("file"))
    if file is None:
        raise RunError("no such item")
    size, offset = number_of(await frame.needed("chunk-size")), number_of(await frame.value("offset")) or 0
    if size is None or not 0 < size <= MAX_CHUNK:
        raise RunError("value of chunk-size out of range", argument="chunk-size")
    return Array((("data", file.content[offset : offset + size].decode("utf-8", "surrogateescape")),))


async def _stop_jobs(frame: Frame) -> Value:
    router = frame.console.router
    for item in select(router, BY_PATH["system", "script", "job"], await frame.needed("numbers")):
        router.stop_job(item.id)
    await asyncio.sleep(0)  # a job that stops itself stops here
    return None


async def _take(frame: Frame) -> Value:
    frame.console.router.safe_mode.take(frame.console.session)
    return None


async def _release(frame: Frame) -> Value:
    _held(frame).release()
    return None


async def _unroll(frame: Frame) -> Value:
    _held(frame).unroll()
    return None


async def _toggle(frame: Frame) -> Value:
    holds = frame.console.router.safe_mode.held_by(frame.console.session)
    return await (_release(frame) if holds else _take(frame))


def _held(frame: Frame) -> SafeMode:
    safe_mode = frame.console.router.safe_mode
    if not safe_mode.held_by(frame.console.session):
        raise RunError("failure: safe mode is not taken by this session")  # uncertain: no transcript has the words
    return safe_mode


Act = Callable[[Frame], Awaitable[Value]]

ACTS: Mapping[tuple[Path, str], Act] = {
    (("ip", "ssh"), "regenerate-host-key"): _regenerate_host_key,
    (("system",), "reboot"): _reboot,
    (("system",), "shutdown"): _reboot,
    (("system",), "reset-configuration"): _reset,
    (("system", "backup"), "save"): _save,
    (("system", "backup"), "load"): _load,
    (("system", "package", "update"), "install"): _install,
    (("system", "package", "update"), "check-for-updates"): _check_for_updates,
    (("system", "routerboard"), "upgrade"): _upgrade,
    (("system", "script"), "run"): _run_script,
    (("system", "script", "job"), "remove"): _stop_jobs,
    (("file",), "read"): _read_file,
    (("safe-mode",), "take"): _take,
    (("safe-mode",), "release"): _release,
    (("safe-mode",), "unroll"): _unroll,
    (("safe-mode",), "toggle"): _toggle,
}
