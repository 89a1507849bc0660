"""What runs without a session, and what is listed of it."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.simulator.machine import Machine
from tests.unit.simulator.test_schedule import until
from tminus.simulator import Behaviour, Kind

LIST = "[/system script job print count-only]"


async def test_execute_returns_at_once_and_its_output_is_in_a_file_at_the_end(router: Machine) -> None:
    printed = await router.run(':put [:execute script={ :put a; :delay 50ms; :put b } file=out]; :put "returned"')
    assert printed.splitlines()[0].startswith("*")
    assert printed.splitlines()[1] == "returned"
    assert await router.put(LIST) == "1"
    assert await router.put("[/system script job get 0 type]") == "command"
    assert await router.put("[/system script job get 0 owner]") == "ops"
    await until(lambda: not router.router.jobs)
    assert router.router.files.get("out.txt").content == b"a\r\nb\r\n"


@pytest.mark.parametrize("at_start", [False, True])
async def test_the_file_of_a_job_may_be_there_before_its_end(make_router, at_start: bool) -> None:
    router = make_router(behaviour=Behaviour(job_file_at_start=at_start))
    await router.run(":execute script={ :put a; :delay 20ms } file=out")
    assert (router.router.files.get("out.txt") is not None) is at_start
    await until(lambda: not router.router.jobs)
    assert router.router.files.get("out.txt").content == b"a\r\n"


async def test_execute_as_string_waits_for_the_output(router: Machine) -> None:
    assert await router.put('[:execute script=":delay 10ms; :put x" as-string]') == "x\n"
    assert await router.put(LIST) == "0"


async def test_an_error_of_a_job_is_in_its_file_and_in_the_log(router: Machine) -> None:
    await router.run(':execute script="/interface bridge add name=bridge" file=out')
    await until(lambda: not router.router.jobs)
    assert b"failure: already have interface with name bridge" in router.router.files.get("out.txt").content
    assert any("already have interface" in line.message for line in router.router.log)


async def test_a_job_that_is_removed_stops_where_it_is_and_keeps_its_output(router: Machine) -> None:
    await router.run(":global job [:execute script={ :put begun; /interface bridge add name=b1; :delay 1h; "
                     "/interface bridge add name=b2 } file=out]")  # fmt: skip
    async with asyncio.timeout(5):
        await router.journal.wait("site", Kind.CHANGED)
    await router.run(":global job; /system script job remove $job")
    await until(lambda: not router.router.jobs)
    assert "b1" in router.body()
    assert "b2" not in router.body()
    assert router.router.files.get("out.txt").content == b"begun\r\n"
    assert await router.run("/system script job remove [find]") == ""


async def test_scripts_above_64_kb_are_refused(router: Machine) -> None:
    await router.run(':global s "' + "# aaaaaaaaaaaa" * 4096 + '"')
    assert "failure" in await router.run(":global s; :execute script=($s . $s)")
    assert not router.router.jobs


async def test_a_stored_script_needs_the_rights_that_it_was_given(router: Machine) -> None:
    await router.run("/user add name=weak group=read password=x")
    await router.run('/system script add name=s source="/system identity set name=changed"')
    assert "cannot run, not enough permissions." in await router.run("/system script run s", user="weak")
    assert router.router.identity != "changed"
    assert await router.run("/system script run s use-script-permissions=yes", user="weak") == ""
    assert router.router.identity == "changed"
    await router.run('/system script set s dont-require-permissions=yes source="/system identity set name=again"')
    assert "not enough permissions (9)" in await router.run("/system script run s", user="weak")
    assert await router.put("[/system script get s run-count]") == "2"


async def test_use_script_permissions_is_known_since_7_15(make_router) -> None:
    old = make_router("7.12.2")
    assert "(line 1 column" in await old.run("/system script run s use-script-permissions=yes")


async def test_jobs_end_with_a_reboot_and_schedules_stay(make_router) -> None:
    router = make_router(behaviour=Behaviour(reboot_down_s=0.01))
    await router.run(":execute script={ :delay 1h } file=out; /system scheduler add name=s interval=1h on-event=x")
    task = next(iter(router.router.jobs.values())).task
    router.router.reboot()
    await until(task.done)
    assert not router.router.jobs
    assert router.router.files.get("out.txt") is None
    await until(lambda: not router.router.down)
    assert await router.put("[:len [/system scheduler find]]") == "1"
