"""/import: the transcripts that others recorded on real routers, and what is applied in each case."""

from __future__ import annotations

import asyncio

import pytest

from tminus.simulator import Behaviour, Fault, Kind
from tminus.simulator.errors import Dropped, Rebooted

GOOD = b"/interface bridge add name=br9\n/ip address add address=10.9.0.1/24 interface=br9\n"
DUPLICATE = b"/interface bridge add name=br9\n/interface bridge add name=bridge\n/interface bridge add name=br8\n"
BAD = b"/interface bridge add name=br9\n/ip address frobnicate\n"


def kinds(router) -> list[Kind]:
    return [event.kind for event in router.journal.events("site") if event.kind.startswith(("import", "dry"))]


async def test_success(router) -> None:
    router.router.files.put("a.rsc", GOOD)
    assert await router.run("/import file-name=a.rsc") == "Script file loaded and executed successfully\n"
    assert "add name=br9" in router.body()
    assert kinds(router) == [Kind.IMPORT_STARTED, Kind.IMPORT_FINISHED]


async def test_run_time_error_names_the_line_and_leaves_what_ran_before(router) -> None:
    router.router.files.put("a.rsc", DUPLICATE)
    assert await router.run("/import file-name=a.rsc") == (
        "Script Error: failure: already have interface with name bridge (/interface/bridge/add; line 2)"
        " (:import; line 1)\n"
    )
    assert "add name=br9" in router.body()
    assert "add name=br8" not in router.body()
    [finished] = router.journal.events("site", Kind.IMPORT_FINISHED)
    assert finished.facts["outcome"] == "error"


async def test_missing_file(router) -> None:
    printed = await router.run("/import file-name=nothing.rsc")
    assert printed == "Cannot open import file, file does not exist (:import; line 1)\n"
    assert kinds(router) == []


async def test_syntax_error_means_that_nothing_was_applied(router) -> None:
    router.router.files.put("a.rsc", BAD)
    printed = await router.run("/import file-name=a.rsc")
    assert printed.startswith("Script Error: ")
    assert "(line 2 column" in printed
    assert "br9" not in router.body()
    assert kinds(router) == [Kind.IMPORT_REJECTED]


async def test_caught_error_text(make_router) -> None:
    router = make_router(behaviour=Behaviour(caught_error_has_path=False))
    router.router.files.put("test.rsc", b"this is nothing\n")
    printed = await router.run('onerror e in={ import test.rsc } do={ :put "Failure - $e" }')
    assert printed == "Failure - Script Error: bad command name this (line 1 column 1)\n"


async def test_verbose_applies_the_lines_before_a_syntax_error(router) -> None:
    router.router.files.put("a.rsc", BAD)
    printed = await router.run("/import file-name=a.rsc verbose=yes")
    assert printed.startswith("#line 1\n/interface bridge add name=br9\n")
    assert "add name=br9" in router.body()


async def test_dry_run_of_a_bad_file(router) -> None:
    router.router.files.put("a.rsc", BAD)
    printed = await router.run("/import file-name=a.rsc verbose=yes dry-run")
    assert printed.startswith("#line 1\n/interface bridge add name=br9\n#line 2\n/ip address frobnicate\n")
    assert printed.endswith("Script Error: found 1 error(s) in import file\n")
    assert "br9" not in router.body()
    assert kinds(router) == [Kind.DRY_RUN]


async def test_dry_run_of_a_good_file_finds_neither_duplicates_nor_missing_objects(router) -> None:
    router.router.files.put("a.rsc", DUPLICATE)
    printed = await router.run("/import file-name=a.rsc verbose=yes dry-run")
    assert printed.endswith("No syntax errors found in the import file\n")
    assert "br9" not in router.body()


async def test_dry_run_is_a_bare_flag_and_only_known_since_7_16(router, make_router) -> None:
    router.router.files.put("a.rsc", GOOD)
    assert "expected end of command" in await router.run("/import file-name=a.rsc verbose=yes dry-run=yes")
    old = make_router("7.12.2")
    old.router.files.put("a.rsc", GOOD)
    assert "(line 1 column" in await old.run("/import file-name=a.rsc verbose=yes dry-run")
    assert "br9" not in old.body()


async def test_locals_live_through_the_file_and_end_with_it(router) -> None:
    router.router.files.put("a.rsc", b":local x 5\n:put $x\n")
    assert (await router.run("/import file-name=a.rsc; :put [:typeof $x]")).splitlines()[0::2] == ["5", "nothing"]


async def test_marker_after_import_proves_its_end(router) -> None:
    router.router.files.put("a.rsc", GOOD)
    router.router.files.put("b.rsc", DUPLICATE.replace(b"br9", b"br7"))
    assert (await router.run('/import file-name=a.rsc; :put ("OK-" . "1")')).endswith("OK-1\n")
    assert "OK-1" not in await router.run('/import file-name=b.rsc; :put ("OK-" . "1")')


async def test_cancelling_interrupts_and_the_journal_says_so(router) -> None:
    router.router.files.put("a.rsc", b"/interface bridge add name=br9\n:delay 1h\n/interface bridge add name=br8\n")
    task = asyncio.create_task(router.run("/import file-name=a.rsc"))
    async with asyncio.timeout(5):
        await router.journal.wait("site", Kind.CHANGED)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert kinds(router) == [Kind.IMPORT_STARTED, Kind.IMPORT_INTERRUPTED]
    [event] = router.journal.events("site", Kind.IMPORT_INTERRUPTED)
    assert event.facts["statements"] == 1
    assert "br9" in router.body()
    assert "br8" not in router.body()


@pytest.mark.parametrize(("fault", "raised"), [(Fault.DROPS_MID_SCRIPT, Dropped), (Fault.REBOOTS, Rebooted)])
async def test_faults_strike_in_the_middle(make_router, fault: Fault, raised: type[Exception]) -> None:
    router = make_router(faults=frozenset({fault}))
    router.router.files.put("a.rsc", GOOD)
    with pytest.raises(raised):
        await router.run("/import file-name=a.rsc")
    assert "br9" in router.body()
    assert "10.9.0.1" not in router.body()
    assert Kind.IMPORT_INTERRUPTED in kinds(router)


async def test_reboot_loses_globals_log_and_uptime_but_not_files_and_configuration(router) -> None:
    router.router.files.put("a.rsc", GOOD)
    await router.run(":global g 1; :log info old; /import file-name=a.rsc")
    with pytest.raises(Rebooted):
        await router.run("/system reboot")
    assert router.router.uptime_s < 1
    assert await router.run(":global g; :put [:typeof $g]") == "nothing\n"
    assert await router.put('[:len [/log find where message="old"]]') == "0"
    assert "add name=br9" in router.body()
    assert router.router.files.get("a.rsc") is not None
