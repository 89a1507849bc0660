"""A router without a network: lines go in, output and errors come out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tminus.routeros.language import ScriptSyntaxError
from tminus.simulator import DEFAULT, ORDINARY, Behaviour, Fault, Journal, Setup
from tminus.simulator.config.defaults import base
from tminus.simulator.console.interpreter import Console
from tminus.simulator.console.scheduler import Scheduler
from tminus.simulator.contents.export import export
from tminus.simulator.errors import RunError
from tminus.simulator.router import Hardware, Router, Timing
from tminus.simulator.versions import Version


@dataclass
class Machine:
    router: Router
    journal: Journal
    written: list[str] = field(default_factory=list)

    async def run(self, line: str | bytes, *, user: str = "ops") -> str:
        """What a line prints, its error included; LF line ends."""
        written: list[str] = []
        console = Console(self.router, user, write=written.append)
        try:
            await console.run(line if isinstance(line, bytes) else line.encode())
        except ScriptSyntaxError as error:
            written.append(f"{error}\n")
        except RunError as error:
            written.append(error.text(with_path=self.router.version.error_paths) + "\n")
        return "".join(written)

    def console(self, write: Callable[[str], None]) -> Console:
        """A session of its own, whose errors are not caught."""
        return Console(self.router, "ops", write=write)

    async def put(self, expression: str) -> str:
        """What ``:put`` prints of an expression, without the line end."""
        return (await self.run(f":put {expression}")).removesuffix("\n")

    def export(self, *, secrets: bool = False) -> str:
        return export(self.router, (), terse=False, verbose=False, secrets=secrets)

    def body(self, *, secrets: bool = False) -> str:
        """The export without its header."""
        lines = self.export(secrets=secrets).splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("#"))

    async def again(self) -> str:
        """The export of a router without configuration that imports what this one exports, secrets included."""
        other = machine(self.router.version.text, defconf=False)
        assert other.body() == ""
        other.router.files.put("again.rsc", self.body(secrets=True).encode("utf-8", "surrogateescape"))
        assert await other.run("/import file-name=again.rsc") == "Script file loaded and executed successfully\n"
        return other.body(secrets=True)


def machine(
    version: str = "7.24.4",
    *,
    behaviour: Behaviour = DEFAULT,
    faults: frozenset[Fault] = frozenset(),
    setup: Setup = ORDINARY,
    chr: bool = False,  # noqa: A002 - the name of the product
    defconf: bool = True,
) -> Machine:
    journal = Journal()
    router = Router(
        site="site",
        version=Version.parse(version),
        hardware=Hardware(
            model="RB750Gr3",
            board="hEX",
            serial="HC0000000AA",
            software_id="ABCD-EFGH",
            chr=chr,
            architecture="mmips",
            cpu="MIPS",
        ),
        base=base(0, defconf=defconf),
        faults=faults,
        behaviour=behaviour,
        timing=Timing(),
        journal=journal,
        up_for_s=93784,
        setup=setup,
    )
    Scheduler(router)
    return Machine(router, journal)
