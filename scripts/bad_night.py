"""Play a bad night on the simulator, and write what its operator saw and did into docs/operations.md.

Everything between two sentences of the narrator is real: a PostgreSQL, a daemon process, twelve simulated routers, and the
command line, whose answers are copied. What no two nights have in common (moments, durations, digests, ports, keys, ids that
are drawn) is replaced by a word of its own, so that playing it again gives the same text.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import difflib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg

from tminus.simulator import Fault, Fleet, FleetSpec, Kind, SiteSpec, simulate
from tminus.store.embedded import EmbeddedServer
from tminus.store.migrate import migrate

DOCUMENT = Path(__file__).parents[1] / "docs/operations.md"
BEGIN, END = "<!-- bad night: begin (written by scripts/bad-night) -->\n", "<!-- bad night: end -->\n"
PATIENCE = 60  # seconds for anything to come true

OFFLINE, CUT, REPLACED = "branch-01", "branch-05", "branch-08"
FAULTS = {
    OFFLINE: frozenset({Fault.OFFLINE}),
    CUT: frozenset({Fault.DROPS_MID_SCRIPT}),
    REPLACED: frozenset({Fault.CHANGED_HOST_KEY}),
}
SITES = tuple(
    SiteSpec(id=name, version="7.20.8", faults=FAULTS.get(name, frozenset()))
    for name in (f"branch-{number:02}" for number in range(1, 13))
)
EVENING, AGAIN = "0b5e5c1e-0000-4000-8000-000000000001", "0b5e5c1e-0000-4000-8000-000000000002"

SCRIPT = """\
/ip firewall address-list add list=blacklist address=203.0.113.0/24
:delay 4s
/ip firewall filter add chain=input action=drop src-address-list=blacklist
:put "blacklist in force"
"""
SCRIPT_AGAIN = """\
/ip firewall filter remove [find src-address-list=blacklist]
/ip firewall address-list remove [find list=blacklist]
/ip firewall address-list add list=blacklist address=203.0.113.0/24
/ip firewall filter add chain=input action=drop src-address-list=blacklist
:put "blacklist in force"
"""
# Who is who: the author of the change, its approver, who is on call, and the daemon.
LOGINS = """
create role alice login in role tminus_author;
create role bob login in role tminus_approver;
create role olga login in role tminus_author, tminus_approver, tminus_gateway;
create role tminus_serve login in role tminus_daemon;
"""


# -- the text ----------------------------------------------------------------------------------------------------------

# Where a table may hold it, the word is as long as what it stands for, so that columns stay columns.
UNSTABLE = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "yyyy-mm-dd hh:mm:ss UTC"),
    (r"\(in \d+ (?:second|minute|hour)s?\)", "(soon)"),
    (r"\(\d+ (?:second|minute|hour)s? ago\)", "(a while ago)"),
    (r"(?m)^(time +)\d+ s$", r"\1n s"),
    (r"(\.rsc  ) ?( ?)\d+ s(?=  )", r"\1 n s"),
    (r"(  )(?:  \d| \d\d) s(?=  |$)", r"\1  n s"),
    (r"(?m)^\d+(?=  before  )", "N"),
    (r"tminus1:[0-9a-f]{64}", "tminus1:DIGEST"),
    # Of launches, which the database names; the scheduled scripts have ids of ours.
    (r"\b(?!0b5e5c1e)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "LAUNCH"),
    (r"(?m)^(site run +)\d+$", r"\1N"),
    (r"tminus-[0-9a-f]{16}\.rsc", f"tminus-{'n' * 16}.rsc"),
    (r"(127\.44\.\d+\.\d+):\d{5}\b", r"\1:NNNNN"),
    (r"\u2500{3,}", "\u2500" * 100),
)
FINGERPRINT = re.compile(r"(?<=SHA256:)[A-Za-z0-9+/]+")


class Transcript:
    def __init__(self) -> None:
        self._parts: list[str] = []
        self._fingerprints: list[str] = []

    def tell(self, sentences: str) -> None:
        """Add what the narrator says: the only words here that nobody printed."""
        self._parts.append(" ".join(sentences.split()))

    def show(self, prompt: str, output: str) -> None:
        """Add a command and what it printed."""
        lines = [self._settled(line).rstrip() for line in (prompt, *output.splitlines())]
        self._parts.append("```console\n" + "\n".join(lines).rstrip() + "\n```")

    def _settled(self, line: str) -> str:
        """Return a line with every unstable part replaced: the first key that was seen is AAAA…, the next one BBBB…"""
        for pattern, word in UNSTABLE:
            line = re.sub(pattern, word, line)
        return FINGERPRINT.sub(self._name_key, line)

    def _name_key(self, found: re.Match[str]) -> str:
        known = [number for number, whole in enumerate(self._fingerprints) if whole.startswith(found[0])]
        if not known:
            self._fingerprints.append(found[0])
        return "ABCDEFGH"[known[0] if known else len(self._fingerprints) - 1] * len(found[0])

    def text(self) -> str:
        return "\n".join(f"{part}\n" for part in self._parts)


# -- the stage ---------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Night:
    """What the night needs: the routers, the database and its folder, and the daemon's configuration and log."""

    folder: Path
    fleet: Fleet
    server: EmbeddedServer
    transcript: Transcript

    @property
    def log_file(self) -> Path:
        return self.folder / "serve.log"

    def log(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    async def tminus(self, who: str, *words: str, shown: str | None = None) -> None:
        """Type a command as somebody, and show it with its answer; `shown` is what stands for its arguments."""
        output = await self.typed(who, *words)
        self.transcript.show(f"{who}$ tminus {shown or ' '.join(words)}", output)

    async def look(self, who: str, *commands: tuple[str, ...]) -> None:
        """Type commands that only read at the same time, which saves a second each, and show them in their order."""
        outputs = await asyncio.gather(*(self.typed(who, *words) for words in commands))
        for words, output in zip(commands, outputs, strict=True):
            self.transcript.show(f"{who}$ tminus {' '.join(words)}", output)

    async def typed(self, who: str, *words: str) -> str:
        """Type a command and return all that it printed, unseen by the reader."""
        environment = environment_of(
            TMINUS_CONFIG=str(self.folder / "tminus.toml"), TMINUS_DATABASE_URL=self.server.dsn_as(who)
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tminus", *words, cwd=self.folder, env=environment,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            said, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        not_ready = words[:2] == ("site", "scan") and process.returncode == 1
        if process.returncode != 0 and not not_ready:
            raise SystemExit(f"'tminus {' '.join(words)}' ended with {process.returncode}:\n{said.decode()}")
        return said.decode()

    async def metrics(self) -> dict[str, str]:
        """Scrape the daemon, as Prometheus does."""
        address = next(event["listening"] for event in self.log() if event["event"] == "ready")
        timeout = aiohttp.ClientTimeout(10)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://{address}/metrics") as answer,
        ):
            text = await answer.text()
        return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))

    async def show_metrics(self, *names: str) -> None:
        found = await self.metrics()
        wanted = [f"{name} {found[name]}" for name in names]
        self.transcript.show("olga$ curl -s localhost:9468/metrics    # of its lines:", "\n".join(wanted))

    def show_log(self, command: str, events: Iterable[dict[str, object]], *fields: str) -> None:
        """Show lines of the daemon's log, each with level, event and some of its fields."""
        lines = []
        for event in events:
            told = " ".join(f"{name}={json.dumps(event[name])}" for name in fields if event.get(name) is not None)
            lines.append(f"{event['level']:<8} {event['event']:<18} {told}")
        self.transcript.show(f"olga$ {command}    # of its lines:", "\n".join(lines))

    async def submit(self, script_id: str, description: str, script: str) -> None:
        """Have alice submit a script for all sites, due at once, and bob authorize it: the evening before, so to say."""
        async with connected(self.server.dsn_as("alice")) as alice, connected(self.server.dsn_as("bob")) as bob:
            await alice.execute(
                "insert into tminus.scheduled_scripts (id, description, script, sites, abort_if_offline, launch_at)"
                " select $1, $2, $3, array_agg(id order by id), true, tminus.clock() + interval '1 second' from tminus.sites",
                script_id, description, script,
            )  # fmt: skip
            await bob.fetchval("select tminus.authorize($1, tminus.digest($1))", script_id)

    async def finished(self, script_id: str) -> object:
        return await self.value("select finished_at is not null from tminus.scheduled_scripts where id = $1", script_id)

    async def value(self, sql: str, *arguments: object) -> object:
        async with connected(self.server.dsn) as connection:
            return await connection.fetchval(sql, *arguments)


def environment_of(**settings: str) -> dict[str, str]:
    """Return what a process of ours is to find: no settings but these, and leave to keep what it compiled for the next."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TMINUS_", "PG"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept | settings


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=30)
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


async def until(what: str, condition: Callable[[], Awaitable[object]]) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + PATIENCE
    while not await condition():
        if time.monotonic() > end:
            raise SystemExit(f"within {PATIENCE} s it did not come true that {what}")
        await asyncio.sleep(0.05)


@asynccontextmanager
async def stage() -> AsyncIterator[Night]:
    """Twelve routers, a database with its people in it, and a daemon that is ready. All of it is gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="tminus-night-"))
    folder.chmod(0o711)  # as root the database runs as another user
    server = EmbeddedServer(folder / "state", durable=False)
    try:
        async with simulate(FleetSpec(site_specs=SITES, key_dir=folder / "keys")) as fleet, server:
            await migrate(server.dsn)
            night = Night(folder=folder, fleet=fleet, server=server, transcript=Transcript())
            async with connected(server.dsn) as owner:
                await owner.execute(LOGINS)
                await owner.execute(fleet.inventory_sql(None))
            # resolve_within is a second here and five minutes by default: the night would be long.
            (folder / "tminus.toml").write_text(
                f'state_dir = "{folder / "daemon"}"\nhttp_listen = "127.0.0.1:0"\nlog_format = "json"\n'
                "poll_interval = 0.2\nresolve_within = 1\n"
                f'[credentials.default]\nusername = "tminus"\nprivate_key_file = "{fleet.key_file}"\n'
            )
            async with daemon(night):
                yield night
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def daemon(night: Night) -> AsyncIterator[None]:
    environment = environment_of(TMINUS_DATABASE_URL=night.server.dsn_as("tminus_serve"))
    with night.log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tminus", "--config", str(night.folder / "tminus.toml"), "serve",
            env=environment, stderr=log,
        )  # fmt: skip

    async def ready() -> bool:
        if process.returncode is not None:
            raise SystemExit(f"the daemon ended: {night.log_file.read_text()}")
        return any(event["event"] == "ready" for event in night.log())

    try:
        await until("the daemon is ready", ready)
        yield
        process.send_signal(signal.SIGTERM)
        if await asyncio.wait_for(process.wait(), PATIENCE) != 0:
            raise SystemExit(f"the daemon did not stop cleanly: {night.log_file.read_text()}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


# -- the play ----------------------------------------------------------------------------------------------------------


async def play(night: Night) -> None:
    await the_launch_and_the_database(night)
    await what_it_came_to(night)
    await the_router_that_was_cut_off(night)
    await the_changed_host_key(night)
    await once_more(night)


async def the_launch_and_the_database(night: Night) -> None:
    tell = night.transcript.tell
    tell("""Alice wants a blacklist at the edge of twelve branches; Bob has authorized it. Olga is on call. At T-0 the daemon
        launches it:""")
    night.transcript.show("alice$ cat blacklist.rsc", SCRIPT)
    await night.submit(EVENING, "Blacklist at the edge", SCRIPT)
    running = [site.id for site in SITES if site.id not in {OFFLINE, REPLACED}]

    async def all_started() -> bool:
        return all(night.fleet.journal.starts(site) for site in running)

    async def the_others_failed() -> bool:
        return await night.value("select count(*) from tminus.site_runs where state = 'failed'") == 2

    await until("the script was started wherever it can be", all_started)
    # Nobody can connect to the router that is about to be cut off any more; what is connected stays.
    await night.fleet.set_faults(CUT, {Fault.DROPS_MID_SCRIPT, Fault.OFFLINE})
    await until("the other two sites failed", the_others_failed)
    launched = [event for event in night.log() if event["event"] == "launched"]
    ended = [event for event in night.log() if event["event"] == "site_ended" and event["state"] == "failed"]
    night.show_log(
        "journalctl -u tminus",
        launched + sorted(ended, key=lambda event: str(event["site_id"])),
        "site_id", "sites", "created_by", "authorized_by", "state", "effect", "reason", "message",
    )  # fmt: skip

    tell("""The first branch does not answer, the eighth shows another host key than the pinned one and was sent nothing, and ten
        scripts are running. Then somebody restarts the database.""")
    await night.server.stop()

    async def store_is_down() -> bool:
        return (await night.metrics())["tminus_store_up"] == "0.0"

    async def said(event: str, service: str) -> bool:
        return any(line["event"] == event and line.get("service") == service for line in night.log())

    await until("the daemon says so in its metrics", store_is_down)
    await until("the daemon says so in its log", lambda: said("store_unavailable", "dispatcher"))
    night.show_log(
        "journalctl -u tminus -p warning",
        [e for e in night.log() if e["event"] == "store_unavailable" and e["service"] == "dispatcher"],
        "service", "message",
    )  # fmt: skip
    await night.show_metrics("tminus_store_up", "tminus_sessions")
    tell("""Nothing is started while that lasts, and nothing is aborted: ten sessions are held, since no ending can be written.
        Olga leaves the daemon alone, as the runbook says. The database comes back.""")
    await night.server.start()
    await until("the daemon found its database again", lambda: said("store_returned", "dispatcher"))

    async def told() -> bool:
        return any(event["event"] == "launch_ended" for event in night.log())

    await until("the launch is over", lambda: night.finished(EVENING))
    await until("the launch is told to be over", told)
    night.show_log(
        "journalctl -u tminus",
        [e for e in night.log() if e["event"] == "store_returned" and e["service"] == "dispatcher"]
        + [e for e in night.log() if e["event"] == "site_ended" and e["state"] == "unknown"]
        + [e for e in night.log() if e["event"] == "launch_ended"],
        "service", "site_id", "state", "effect", "reason", "sites", "completed", "failed", "skipped", "unknown", "todo",
    )  # fmt: skip


async def what_it_came_to(night: Night) -> None:
    tell = night.transcript.tell
    tell("TminusUnknownUnresolved pages her.")
    await night.show_metrics(
        "tminus_store_up",
        "tminus_site_runs_unknown",
        "tminus_cleanup_debts",
        'tminus_site_runs_total{effect="applied",reason="",state="completed"}',
        'tminus_site_runs_total{effect="none",reason="offline",state="failed"}',
        'tminus_site_runs_total{effect="none",reason="host_key_changed",state="failed"}',
        'tminus_site_runs_total{effect="unknown",reason="connection_lost",state="unknown"}',
    )
    tell("""Nine branches have it, restart or not. Two have nothing of it. What branch-05 did nobody knows: its line went dead while
        the script ran, and stayed dead for as long as the daemon looked. So the file of the script may still lie there, too; the
        daemon goes on trying to remove it.""")
    await night.look("olga", ("status", EVENING), ("show", EVENING, CUT), ("cleanup",))


async def the_router_that_was_cut_off(night: Night) -> None:
    tell = night.transcript.tell
    tell("At 3 a.m. both lines are back, that of branch-01 as well. She does not wait for the daemon's next try.")
    await night.fleet.set_faults(OFFLINE, ())
    await night.fleet.set_faults(CUT, ())
    await night.tminus("olga", "cleanup", "now", CUT)

    async def paid() -> bool:
        return not await night.value("select exists (select from tminus.cleanup_debts where settled_at is null)")

    await until("the file is gone", paid)
    tell("""From then on a late start of that script would find no file. What it did before is found out below. Now branch-08. A
        scan logs in nowhere where the key is not the pinned one; it shows the key.""")
    await night.look("olga", ("cleanup",), ("site", "scan", REPLACED))


async def the_changed_host_key(night: Night) -> None:
    tell = night.transcript.tell
    tell("""She asks before she accepts: the technician replaced that router in the afternoon, and reads to her from its console the
        same fingerprint. Only then:""")
    await night.tminus("olga", "site", "scan", REPLACED, "--accept-changed", REPLACED)


async def once_more(night: Night) -> None:
    tell = night.transcript.tell
    (night.folder / "again.rsc").write_text(SCRIPT_AGAIN)
    tell("""Three branches are to get it after all. tminus runs nothing twice by itself, so she submits a new script, written so that
        what is there already does not matter, and rehearses it. That also stores an export of each as it is now.""")
    night.transcript.show("olga$ cat again.rsc", SCRIPT_AGAIN)
    sites = [word for site in (OFFLINE, CUT, REPLACED) for word in ("--site", site)]
    description = "Blacklist, once more"
    words = ("submit", "again.rsc", *sites, "--in", "1h", "--id", AGAIN, "--description", description)
    await night.tminus("olga", *words, shown=" ".join(words[:-1]) + f" '{description}'")
    await night.tminus("olga", "rehearse", AGAIN)
    tell("""The export from before the launch against that of the rehearsal tells what branch-05 did; 'tminus backup list branch-05'
        has their numbers.""")
    sql = (
        "select b.id from tminus.backups b join tminus.launches l on l.id = b.launch_id"
        " where b.site_id = $1 and b.phase = 'before' and l.script_id = $2"
    )
    before, now = str(await night.value(sql, CUT, EVENING)), str(await night.value(sql, CUT, AGAIN))
    await night.tminus("olga", "backup", "diff", before, now, shown="backup diff BEFORE NOW")
    tell("""The list and not the rule: half of it. She will say so. But first: all three are ready, so it need not wait for an hour.
        Bob has looked at it, too.""")
    sql = f"update tminus.scheduled_scripts set launch_at = now() + interval '20 seconds' where id = '{AGAIN}'"
    await night.tminus("olga", "psql", "-c", sql, shown=f'psql -c "{sql}"')
    digest = str(await night.value("select tminus.digest($1)", AGAIN))
    await night.tminus("bob", "authorize", AGAIN, "--digest", digest)
    tell("While it counts down she gives her verdict on branch-05, which ends the alert.")
    note = "The export of the rehearsal has the address list and not the rule."
    verdict = ("resolve", EVENING, CUT, "--verdict", "failed/partial", "--note")
    await night.tminus("olga", *verdict, note, shown=f"{' '.join(verdict)} '{note}'")
    await night.show_metrics("tminus_site_runs_unknown", "tminus_cleanup_debts")
    await until("it is over", lambda: night.finished(AGAIN))
    tell(
        "Then all twelve have it. Nothing was run twice by itself, nothing lies about, and nothing is left to page about."
    )
    await night.look("olga", ("status", AGAIN), ("status", EVENING))


def agrees(fleet: Fleet) -> bool:
    """Whether the routers' own journal says what the transcript says: who started what how often, and that nothing is left."""
    starts = {site.id: len(fleet.journal.starts(site.id)) for site in SITES}
    expected = dict.fromkeys(starts, 1) | {CUT: 2}
    ran = {site.id: len(fleet.journal.events(site.id, Kind.IMPORT_FINISHED)) for site in SITES}
    return starts == expected and ran == dict.fromkeys(ran, 1) and not any(fleet.files(site.id) for site in SITES)


async def transcript() -> str:
    async with stage() as night:
        await play(night)
        if not agrees(night.fleet):
            raise SystemExit("the routers did something else than the transcript says")
        return night.transcript.text()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 and a diff if the text is another"
    )
    check = parser.parse_args().check
    old = DOCUMENT.read_text(encoding="utf-8")
    head, rest = old.split(BEGIN)
    _, tail = rest.split(END)
    new = f"{head}{BEGIN}\n{asyncio.run(transcript())}\n{END}{tail}"
    if not check:
        DOCUMENT.write_text(new, encoding="utf-8")
    elif new != old:
        name = DOCUMENT.name
        sys.stdout.writelines(
            difflib.unified_diff(old.splitlines(True), new.splitlines(True), name, f"{name}, played now")
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
