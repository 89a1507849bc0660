"""What a user may do, and the words with which he is refused."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.unit.simulator.machine import Machine
from tminus.simulator import Behaviour, Setup

REFUSED = "not enough permissions (9)"


@pytest.mark.parametrize(
    ("policy", "line", "refused"),
    [
        ("read", "/ip address print", False),
        ("read", "/ip address add address=10.0.0.1/24 interface=bridge", True),
        ("read", ":put [/system identity get name]", False),
        ("write", ":put [/system identity get name]", True),
        ("write", "/export", True),
        ("read,write", "/ip address add address=10.0.0.1/24 interface=bridge", False),
        ("read,write", "/user add name=x group=full password=y", True),
        ("read,write,policy", "/user add name=x group=full password=y", False),
        ("read,write", "/system reboot", True),
        ("read,write", "/export file=a", True),
        ("read,ftp", "/export file=a", False),
        ("read,write,ftp", "/system backup save name=a", True),
        ("read,write,policy,sensitive", "/system backup save name=a", False),
        ("read,write", "/system scheduler add name=a interval=1h on-event=x policy=reboot", True),
        ("read,write", "/system scheduler add name=a interval=1h on-event=x policy=read", False),
        ("read,write", "/file add name=a contents=b", False),
    ],
)
async def test_policies(router: Machine, policy: str, line: str, refused: bool) -> None:
    everything = ["read", "write", "policy", "test", "ftp", "reboot", "sensitive"]
    router.router.denied = frozenset(set(everything) - set(policy.split(",")))
    await router.run("/user add name=one group=full password=x")
    printed = await router.run(line, user="one")
    assert (REFUSED in printed) is refused, printed


async def test_without_policy_sensitive_an_export_hides_secrets_and_says_nothing(router: Machine) -> None:
    await router.run("/ppp secret add name=a password=hidden-word; /user add name=one group=full password=x")
    assert "hidden-word" in await router.run("/export show-sensitive", user="one")
    router.router.denied = frozenset({"sensitive"})
    assert "hidden-word" not in await router.run("/export show-sensitive", user="one")


async def test_where_show_sensitive_is_refused_a_plain_export_is_not(make_router) -> None:
    router = make_router(behaviour=Behaviour(show_sensitive_refused=True), setup=Setup(lacks=("sensitive",)))
    await router.run("/user add name=one group=full password=x")
    assert REFUSED in await router.run("/export show-sensitive", user="one")
    assert "by RouterOS" in await router.run("/export", user="one")


async def test_a_refusal_in_a_script_leaves_what_ran_before(router: Machine) -> None:
    await router.run("/user add name=one group=write password=x")
    router.router.files.put("a.rsc", b"/interface bridge add name=br9\n/user add name=x group=full password=y\n")
    printed = await router.run("/import a.rsc", user="one")
    assert printed == f"Script Error: {REFUSED} (/user/add; line 2) (:import; line 1)\n"
    assert "br9" in router.body()


@pytest.mark.parametrize(("mode", "refused"), [("home", True), ("advanced", False)])
async def test_device_mode(make_router, mode: str, refused: bool) -> None:
    router = make_router(setup=Setup(device_mode=mode))
    printed = await router.run("/system scheduler add name=a interval=1h on-event=x")
    expected = "failure: not allowed by device-mode (/system/scheduler/add; line 1)\n" if refused else ""
    assert printed == expected
    assert "not allowed" not in await router.run("/system scheduler print; /system scheduler remove [find]")


@pytest.mark.parametrize("terse", ["", " terse"])
async def test_schedules_that_the_mode_does_not_allow_are_exported_with_a_comment_and_never_run(
    router: Machine, terse: str
) -> None:
    await router.run('/system scheduler add name=a interval=1h on-event=":log info fired"')
    router.router.device_mode = "home"
    lines = (await router.run(f"/export{terse}")).splitlines()
    found = [line for line in lines if "inactivated" in line]
    assert found == ["# inactivated, not allowed by device-mode"]
    assert "add interval=1h name=a" in lines[lines.index(found[0]) + 1]
    router.router.set_clock(router.router.now() + timedelta(hours=3))
    await asyncio.sleep(0)  # the scheduler looks
    await asyncio.sleep(0)  # what it would have started begins
    assert router.router.jobs == {}
    assert not [line for line in router.router.log if line.message == "fired"]
