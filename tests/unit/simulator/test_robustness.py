"""Whatever a client sends, a router answers: with output, a syntax error or a run-time error, never with a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from hypothesis import given, settings, strategies

from tests.unit.simulator.machine import machine
from tminus.routeros.language import ScriptSyntaxError
from tminus.routeros.language.names import Menu, Signature
from tminus.simulator.config.menus import device
from tminus.simulator.console.interpreter import Console
from tminus.simulator.errors import Dropped, Quit, Rebooted, RunError
from tminus.simulator.versions import Version

WORDS = [
    ":put", ":local", ":global", ":set", ":if", ":foreach", ":for", ":do", ":onerror", ":error", ":log info", ":len",
    ":pick", ":find", ":tostr", ":toarray", ":typeof", ":return", ":execute", ":parse", "/ip address", "/ip route",
    "/ip firewall filter", "/file", "/log", "/system identity", "/system resource", "/interface", "/ip dns", "/export",
    "/system script job", "/ip pool", "/import", "add", "set", "remove", "print", "get", "find", "enable", "where",
    "count-only", "as-value", "terse", "detail", "address=10.0.0.1/24", "interface=bridge", "interface=x", "chain=input",
    "action=drop", "name=a", "name=", "numbers=0", "comment=\"a b\"", "disabled=yes", "ranges=10.0.0.1-10.0.0.2", "in=",
    "do=", "else=", "on-error=", "{", "}", "[", "]", "(", ")", "$x", "$1", "x", "0", "*1", "5", "1.2.3.4", "yes", "\"s\"",
    "\"$x\"", ".", "+", "-", "/", "->", "=", "~", "&&", "!", ",", ";", "\n", "from=1", "to=2", "i", "e", "1s", "any",
]  # fmt: skip


def survives(source: bytes) -> None:
    async def run() -> None:
        router = machine()
        console = Console(router.router, "ops", write=router.written.append)
        try:
            async with asyncio.timeout(1):
                await console.run(source)
        except (ScriptSyntaxError, RunError, Rebooted, Dropped, Quit, TimeoutError):
            pass
        jobs = [job.task for job in router.router.jobs.values() if job.task is not None]
        for task in jobs:
            task.cancel()
        for result in await asyncio.gather(*jobs, return_exceptions=True):
            assert result is None or isinstance(result, asyncio.CancelledError)
        assert router.export().startswith("# ")
        "".join(router.written).encode("utf-8", "surrogateescape")

    asyncio.run(run())


@given(strategies.lists(strategies.sampled_from(WORDS), max_size=14).map(" ".join))
@settings(max_examples=400, deadline=None)
def test_words_of_the_language_in_any_order(line: str) -> None:
    survives(line.encode())


@given(strategies.binary(max_size=80))
@settings(max_examples=150, deadline=None)
def test_any_bytes(source: bytes) -> None:
    survives(source)


def commands(menu: Menu, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str, Signature]]:
    """Every command that the simulated device has, with what it takes."""
    for verb, signature in menu.commands.items():
        yield path, verb, signature
    for name, inner in menu.menus.items():
        yield from commands(inner, (*path, name))


# They never end by themselves, or take the router away.
ENDLESS = frozenset(
    {"ping", "while", "delay", "retry", "do", "reboot", "shutdown", "reset-configuration", "load", "install"}
)


def test_no_command_of_the_device_breaks_the_interpreter() -> None:
    """Each with nothing, with an item, and with a value for each of its parameters, one at a time and all at once."""

    async def run() -> None:
        router, count = machine(), 0
        for path, verb, signature in list(commands(device(Version.parse("7.24.4")))):
            if verb in ENDLESS:
                continue
            head = f"/{' '.join((*path, verb))}"
            one = [f"{head} {name}={value}" for name in sorted(signature.values) for value in ("1", "ether1", '""')]
            everything = f"{head} {' '.join(f'{name}=1' for name in sorted(signature.values))}"
            for line in (head, f"{head} 0", f"{head} [find]", f":put [{head} 0]", everything, *one[:12]):
                count += 1
                try:
                    await asyncio.wait_for(router.run(line), timeout=5)
                except (Rebooted, Dropped, Quit):
                    pass
                except Exception as error:
                    raise AssertionError(line) from error
        assert count > 20_000
        assert router.export().startswith("# ")
        await router.router.tasks.close()

    asyncio.run(run())
