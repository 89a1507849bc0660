"""What systemd is told by a real daemon, what makes it end one, and that it gives one the time that it needs."""

from __future__ import annotations

import asyncio
import configparser
import re
import signal
import socket
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import Db, run_daemon, until
from tminus.ops import systemd
from tminus.ops.health import Health
from tminus.settings import Settings
from tminus.simulator import FleetSpec, simulate

_ROOT = Path(__file__).parents[2]
_UNITS = _ROOT / "systemd"


class Systemd:
    """The socket that systemd would listen on."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self._socket.setblocking(False)
        self.path = path
        self._said: list[str] = []

    def said(self) -> list[str]:
        """Every line so far."""
        while True:
            try:
                self._said += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self._said

    def status(self) -> str:
        return next((line for line in reversed(self.said()) if line.startswith("STATUS=")), "")

    async def hears(self, pattern: str) -> str:
        """Wait until a line like that was said, and return it."""

        async def heard() -> str:
            return next((line for line in self.said() if re.fullmatch(pattern, line)), "")

        return await until(heard, within=15)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Systemd]:
    with tempfile.TemporaryDirectory(prefix="tminus-notify-", dir="/tmp") as folder:
        made = Systemd(f"{folder}/notify")
        yield made
        made.close()


async def test_a_daemon_tells_ready_how_its_launch_goes_and_that_it_stops(
    database: Db, tmp_path: Path, listener: Systemd
) -> None:
    environment = {"NOTIFY_SOCKET": listener.path, "WATCHDOG_USEC": "400000"}
    async with (
        simulate(FleetSpec(sites=3, script_ms=2500)) as fleet,
        run_daemon(database, tmp_path, fleet, environment=environment) as daemon,
    ):
        await database.run(fleet.inventory_sql("default"))
        assert listener.said()[:2] == ["READY=1", "STATUS=waiting, nothing scheduled"]
        later = await database.submit(":put 2", due_in=3 * 3600 - 60)
        await listener.hears("STATUS=waiting, next in 2 h")
        await database.submit(":put 1")
        await listener.hears("STATUS=1 launch, 3 sites running, next in 2 h")
        assert listener.said().count("WATCHDOG=1") > 1
        assert "STOPPING=1" not in listener.said()

        # Stopped while scripts run: it drains, says so, and is not taken for stuck.
        await database.value("select tminus.cancel($1)", later, role="alice")
        daemon.process.send_signal(signal.SIGTERM)
        await listener.hears("STOPPING=1")
        await listener.hears("STATUS=draining, 3 sites running")
        fed = listener.said().count("WATCHDOG=1")
        assert await asyncio.wait_for(daemon.process.wait(), 30) == 0
        assert listener.said().count("WATCHDOG=1") > fed
    assert [row["state"] for row in await database.fetch("select state from tminus.site_runs")] == ["completed"] * 3


async def test_a_lost_database_shows_in_the_status_and_never_in_the_watchdog(
    database: Db, tmp_path: Path, listener: Systemd
) -> None:
    environment = {"NOTIFY_SOCKET": listener.path, "WATCHDOG_USEC": "200000"}
    quick = {"heartbeat_ttl": 2.0, "heartbeat_margin": 0.5}
    async with run_daemon(database, tmp_path, environment=environment, **quick):
        await listener.hears("STATUS=waiting, nothing scheduled")
        await database.run("revoke usage on schema tminus from tminus_daemon")
        await listener.hears("STATUS=no answer from the database, 0 sites running")
        await listener.hears("STATUS=cannot prove to the database that this instance lives, 0 sites running")
        fed = listener.said().count("WATCHDOG=1")

        async def fed_on() -> bool:
            return listener.said().count("WATCHDOG=1") > fed + 2

        await until(fed_on)
        await database.run("grant usage on schema tminus to tminus_daemon")

        async def waits_again() -> bool:
            return listener.status() == "STATUS=waiting, nothing scheduled"

        await until(waits_again)


async def test_a_daemon_that_ends_by_itself_is_not_killed_while_its_scripts_run(
    database: Db, tmp_path: Path, listener: Systemd
) -> None:
    environment = {"NOTIFY_SOCKET": listener.path, "WATCHDOG_USEC": "200000"}
    async with (
        simulate(FleetSpec(sites=1, script_ms=5000)) as fleet,
        run_daemon(database, tmp_path, fleet, environment=environment) as daemon,
    ):
        await database.run(fleet.inventory_sql("default"))
        await database.submit(":put 1")
        await listener.hears("STATUS=1 launch, 1 site running, nothing scheduled")

        async def started() -> bool:
            return bool(await database.value("select count(*) from tminus.site_runs where executing_at is not null"))

        await until(started)
        await database.run("update tminus.instances set state = 'dead', ended_at = now()")
        await listener.hears("STOPPING=1")
        await listener.hears("STATUS=ending, 1 site running")
        fed = listener.said().count("WATCHDOG=1")
        assert await asyncio.wait_for(daemon.process.wait(), 30) == 6
        assert listener.said().count("WATCHDOG=1") > fed + 2
    # Not cut: its end was heard and kept, although the run is another's by now.
    assert await database.value("select count(*) from tminus.events where kind = 'late_evidence'") == 1


@pytest.mark.parametrize("stuck", ["launcher", "dispatcher", "heartbeat", "reaper", "janitor"])
async def test_a_service_that_does_not_come_round_is_not_fed_for(
    listener: Systemd, monkeypatch: pytest.MonkeyPatch, stuck: str
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", listener.path)
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    clock = 1000.0
    health = Health(lives=lambda: True, now=lambda: clock)

    def all_but_the_stuck_one_go_round() -> bool:
        for service in ("launcher", "dispatcher", "heartbeat", "reaper", "janitor"):
            if service != stuck:
                # Without the database, too: it is no reason to be killed.
                health.went_round(service, answered=False)
        return health.goes_round()

    looked = 0

    def looks() -> bool:
        nonlocal looked, clock
        looked += 1
        clock += 30
        return all_but_the_stuck_one_go_round()

    feeder = asyncio.create_task(systemd.feed_watchdog(looks))
    try:

        async def looked_often() -> bool:
            return looked >= 10

        await until(looked_often)
        # After 30, 60 and 90 seconds, and then no more.
        assert listener.said() == ["WATCHDOG=1"] * 3
        health.went_round(stuck, answered=True)
        await listener.hears("WATCHDOG=1")
        health.ending = True
        clock += 1000
        assert health.goes_round(), "the scripts that are waited for at the end would be cut"
    finally:
        feeder.cancel()


@pytest.mark.parametrize(
    ("launches", "sites", "next_in", "said"),
    [
        (3, 412, 2.5 * 3600, "3 launches, 412 sites running, next in 2 h"),
        (1, 1, None, "1 launch, 1 site running, nothing scheduled"),
        (0, 1, 61.0, "0 launches, 1 site running, next in 1 min"),
        (0, 0, 59.9, "waiting, next in less than a minute"),
        (0, 0, 4 * 86400.0, "waiting, next in 4 d"),
    ],
)
def test_the_status_is_a_short_line(launches: int, sites: int, next_in: float | None, said: str) -> None:
    assert systemd.working(launches=launches, sites=sites, next_in=next_in) == said


async def test_systemd_waits_longer_than_a_drain_and_a_drain_longer_than_a_script(database: Db) -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(_UNITS / "tminus.service")
    service = unit["Service"]
    drain = Settings.model_fields["drain_timeout"].default
    default = await database.value(
        "select extract(epoch from column_default::interval)::float8"
        " from (select substring(column_default from '''(.*)''') as column_default from information_schema.columns"
        " where table_schema = 'tminus' and table_name = 'scheduled_scripts' and column_name = 'site_timeout') c"
    )
    # Beyond the drain: what could not be given back, two pools, and the embedded server's three ways to stop.
    assert float(service["TimeoutStopSec"]) >= drain + 5 + 2 * 5 + 80
    assert drain >= default > 0
    assert service["KillMode"] == "mixed"
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    assert float(service["WatchdogSec"]) / 2 < 60


def test_the_key_of_the_routers_is_handed_over_by_the_name_that_the_configuration_has() -> None:
    unit = (_UNITS / "tminus.service").read_text()
    handed_over = dict(re.findall(r"^LoadCredential=([^:\n]+):(.+)$", unit, re.MULTILINE))
    assert handed_over == {"id_ed25519": "/etc/tminus/id_ed25519"}
    # Where the file is missing, the daemon is started and says so.
    assert re.findall(r"^SetCredential=([^:\n]+):", unit, re.MULTILINE) == list(handed_over)
    configured = tomllib.loads((_ROOT / "config/tminus.toml").read_text())["credentials"]["default"]
    assert configured["private_key_file"] in handed_over, "by its name alone, or it would be looked for in /etc"
    guide = (_ROOT / "docs/install.md").read_text()
    assert f"-f {handed_over['id_ed25519']}\n" in guide
    assert 'private_key_file = "id_ed25519"' in guide
