"""What an operator sees: alert rules, the dashboard, and a real Prometheus that reads a real daemon."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests import promql
from tests.support import Daemon, Db, run_daemon, until
from tminus.simulator import Fault, FleetSpec, SiteSpec, simulate

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config/prometheus/alerts.yml"
RULE_TESTS = ROOT / "config/prometheus/alerts_test.yml"
DASHBOARD = ROOT / "config/grafana/tminus.json"
UNPACKED = ROOT / ".cache/prometheus/usr/bin"
SCRIPT = '/ip dns static add name=seen.example address=192.0.2.1\n:put "done"\n'


def tool(name: str) -> str:
    """The path of a program of Prometheus; skips the test where there is none, unless REQUIRE_PROMETHEUS is set."""
    found = shutil.which(name) or shutil.which(name, path=str(UNPACKED))
    if found is None:
        why = f"{name} is not on PATH, and scripts/fetch-prometheus was not run"
        if os.environ.get("REQUIRE_PROMETHEUS"):
            pytest.fail(why)
        pytest.skip(why)
    return found


# -- the alert rules ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    name: str
    text: str

    @property
    def expression(self) -> str:
        match = re.search(r"^        expr: (?:\|\n((?:          .*\n)+)|(.+)\n)", self.text, re.MULTILINE)
        assert match is not None, self.name
        return match[1] or match[2]


def rules() -> list[Rule]:
    parts = re.split(r"^(?=      - alert: )", RULES.read_text(), flags=re.MULTILINE)[1:]
    return [Rule(part.split(maxsplit=3)[2], part) for part in parts]


def test_the_rules_are_well_formed_and_pass_their_tests() -> None:
    promtool = tool("promtool")
    for command in (("check", "rules", "--lint=all", "--lint-fatal", str(RULES)), ("test", "rules", str(RULE_TESTS))):
        ran = subprocess.run([promtool, *command], capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_each_rule_says_how_urgent_it_is_and_what_to_do(rule: Rule) -> None:
    assert re.search(r"^          severity: (page|ticket)$", rule.text, re.MULTILINE)
    for annotation in ("summary", "description"):
        assert re.search(rf"^          {annotation}: \S", rule.text, re.MULTILINE), annotation
    assert f"\n          runbook: docs/operations.md#{rule.name.lower()}\n" in rule.text


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_each_rule_has_a_test_that_fires_it_and_one_that_does_not(rule: Rule) -> None:
    outcomes = re.findall(
        rf'alertname="{rule.name}",.*\n        eval_time: .*\n        exp_samples:( \[\])?\n', RULE_TESTS.read_text()
    )
    assert "" in outcomes
    assert " []" in outcomes


# -- what the rules and the dashboard ask for exists -------------------------------------------------------------------


def dashboard_queries() -> list[str]:
    """Every query of the dashboard, with its variables filled in."""
    dashboard = json.loads(DASHBOARD.read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    found += [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
    assert len(found) > 30
    return [
        query.replace("$job", "tminus").replace("$__rate_interval", "10s").replace("$__range", "1m") for query in found
    ]


def exposed(metrics: str) -> dict[str, set[str]]:
    """The series of an answer of /metrics, with the labels of each and those that a scrape adds."""
    found: dict[str, set[str]] = {}
    for line in metrics.splitlines():
        if line and not line.startswith("#"):
            name, labels = re.match(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ", line).groups()  # type: ignore[union-attr]
            found.setdefault(name, {"job", "instance"}).update(re.findall(r'(\w+)="', labels or ""))
    found["up"] = {"job", "instance"}
    found["ALERTS"] = {"job", "instance", "alertname", "alertstate"}
    return found


def missing(expression: str, there: dict[str, set[str]]) -> list[str]:
    used = promql.read(expression)
    assert used.selected, f"no metric in {expression}"
    absent = [name for name in used.selected if name not in there]
    for name in used.selected.keys() & there.keys():
        absent += [f"{name}{{{label}}}" for label in used.selected[name] - there[name]]
    labels = set().union(*(there.get(name, set()) for name in used.selected))
    return absent + [f"by ({label})" for label in used.grouped - labels]


async def test_every_query_names_metrics_and_labels_that_a_daemon_exposes(database: Db, tmp_path: Path) -> None:
    async with run_daemon(database, tmp_path) as daemon:
        there = exposed((await daemon.get("/metrics"))[1])
        queries = [rule.expression for rule in rules()] + dashboard_queries()
        assert {query: missing(query, there) for query in queries if missing(query, there)} == {}
        # And what is exposed is looked at by somebody.
        looked_at = {name for query in queries for name in promql.read(query).selected}
        ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in there if name.startswith("tminus_")}
        bare = {re.sub(r"_bucket$", "", name) for name in looked_at}
        assert ours - bare == {"tminus_info", "tminus_launch_sites_total"}


@pytest.mark.parametrize(
    ("expression", "absent"),
    [
        ("sum by (state) (rate(tminus_runs_total[5m]))", []),
        ("sum by (state) (rate(tminus_run_total[5m]))", ["tminus_run_total", "by (state)"]),
        ("sum by (sate) (rate(tminus_runs_total[5m]))", ["by (sate)"]),
        ('tminus_runs_total{state="failed",job="x"} > 0', []),
        ('tminus_runs_total{reason=~"a|b"} > 0', ["tminus_runs_total{reason}"]),
        ('tminus_up == 0 unless on (job) max by (job) (up{job="tminus"}) == 0', ["tminus_up"]),
        ("time() - max(last_over_time(tminus_runs_total[5m])) > 3 * 86400 or absent(up)", []),
    ],
)
def test_a_misspelt_metric_or_label_is_found(expression: str, absent: list[str]) -> None:
    there = {"tminus_runs_total": {"job", "instance", "state"}, "up": {"job", "instance"}}
    assert missing(expression, there) == absent


# -- a real Prometheus -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prometheus:
    url: str
    session: aiohttp.ClientSession

    async def api(self, path: str, **parameters: str) -> Any:
        async with self.session.get(f"{self.url}/api/v1/{path}", params=parameters) as response:
            answer = await response.json()
            assert answer["status"] == "success", f"{parameters}: {answer}"
            return answer["data"]

    async def query(self, expression: str) -> dict[tuple[str, ...], float]:
        """The values of an expression by the values of their labels, but for job and instance."""
        data = await self.api("query", query=expression)
        if data["resultType"] == "scalar":
            return {(): float(data["result"][1])}
        return {
            tuple(value for label, value in sorted(found["metric"].items()) if label not in ("job", "instance")): float(
                found["value"][1]
            )
            for found in data["result"]
        }


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@asynccontextmanager
async def run_prometheus(folder: Path, target: str) -> AsyncIterator[Prometheus]:
    """Scrape `target` every second with our rules, as the head of the rules says."""
    program = tool("prometheus")
    folder.mkdir()
    listen = f"127.0.0.1:{free_port()}"
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "tminus", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # every JSON is YAML
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={listen}",
            stdout=log,
            stderr=log,
            cwd=folder,
        )
    try:
        async with aiohttp.ClientSession() as session:

            async def ready() -> bool:
                assert process.returncode is None, (folder / "log").read_text()
                try:
                    async with session.get(f"http://{listen}/-/ready") as response:
                        return response.status == 200
                except aiohttp.ClientConnectionError:
                    return False

            await until(ready)
            yield Prometheus(f"http://{listen}", session)
    finally:
        process.kill()
        await process.wait()


def mixed_fleet() -> FleetSpec:
    faults = {"good-1": None, "good-2": None, "login": Fault.REFUSES_LOGIN, "cut": Fault.EXPORT_ERROR}
    return FleetSpec(
        site_specs=tuple(
            SiteSpec(id=site, version="7.20.8", faults=frozenset({fault} if fault else ()))
            for site, fault in faults.items()
        )
    )


async def test_the_sql_of_the_alert_rules_runs_as_it_stands_there(database: Db) -> None:
    text = " ".join(RULES.read_text().split())
    statements = re.findall(r"\"(select [^\"]+)\"", text)
    assert statements
    for statement in statements:
        await database.fetch(statement, role="rita")
    assert "'select" not in text, "a statement with quotes of its own stands in double ones"


async def check_labels(database: Db, daemon: Daemon) -> None:
    """A fleet of thousands must not become thousands of series: no label is for a site or a launch."""
    _, text = await daemon.get("/metrics")
    ours = [line for line in text.splitlines() if line.startswith("tminus_")]
    labels = {found for line in ours for found in re.findall(r'(\w+)="([^"]*)"', line)}
    assert {name for name, _ in labels} == {
        "state", "effect", "reason", "step", "result", "service", "kind", "version", "le",
    }  # fmt: skip
    ids = [
        *await database.site_ids(),
        *(str(row["id"]) for row in await database.fetch("select id from tminus.launches")),
    ]
    assert len(ids) > 4
    assert not {value for _, value in labels} & set(ids)


async def test_a_real_prometheus_scrapes_a_daemon_and_answers(database: Db, tmp_path: Path) -> None:
    tool("prometheus")
    async with simulate(mixed_fleet()) as fleet, run_daemon(database, tmp_path / "tminus", fleet) as daemon:
        async with run_prometheus(tmp_path / "prometheus", daemon.url.removeprefix("http://")) as prometheus:

            async def scraped() -> bool:
                return bool(await prometheus.query('up{job="tminus"} == 1'))

            await until(scraped)
            await database.run(fleet.inventory_sql(None))
            await database.finished(await database.submit(SCRIPT))
            # Nobody authorizes this one: an alert that needs no waiting.
            await database.run(
                "insert into tminus.scheduled_scripts (script, sites, launch_at)"
                " values (':put 1', '{good-1}', now() + interval '30 minutes')",
                role="alice",
            )

            async def told() -> bool:
                done = await prometheus.query('sum by (state) (tminus_launches_ended_total{state="finished"})')
                return done == {("finished",): 1} and bool(await prometheus.query("ALERTS"))

            await until(told)
            assert await prometheus.query("sum by (state, reason) (tminus_site_runs_total) > 0") == {
                ("completed",): 2,
                ("auth_failed", "failed"): 1,
                ("backup_incomplete", "failed"): 1,
            }
            assert await prometheus.query("sum(tminus_dispatch_lag_seconds_count)") == {(): 2}
            [lag] = (await prometheus.query("sum(tminus_dispatch_lag_seconds_sum)")).values()
            assert 0 < lag < 60
            [exported] = (await prometheus.query("sum(tminus_backup_bytes_total)")).values()
            assert exported > 0
            assert await prometheus.query('tminus_step_seconds_count{step="verifying"}') != {}
            assert await prometheus.query("tminus_ready + tminus_heartbeat_trusted + tminus_store_up") == {(): 3}
            assert await prometheus.query("tminus_sessions_max") == {("tminus_sessions_max",): 200}
            [age] = (await prometheus.query("tminus_heartbeat_age_seconds")).values()
            assert 0 <= age < 4
            [kept] = (await prometheus.query('tminus_kept_bytes{kind="backups"}')).values()
            assert kept > 0
            await check_labels(database, daemon)

            alerts = {alert["labels"]["alertname"]: alert for alert in (await prometheus.api("alerts"))["alerts"]}
            assert alerts.keys() == {"TminusNotAuthorized"}
            alert = alerts["TminusNotAuthorized"]
            assert (alert["state"], alert["labels"]["severity"]) == ("firing", "ticket")
            assert alert["annotations"]["summary"] == "1 scheduled scripts are due within the hour and not authorized."
            loaded = [rule for group in (await prometheus.api("rules"))["groups"] for rule in group["rules"]]
            assert {rule["name"]: rule["health"] for rule in loaded} == {rule.name: "ok" for rule in rules()}
            # The annotations of every rule can be filled in, and every panel has something to show or is a filter.
            for query in dashboard_queries():
                answer = await prometheus.query(query)
                assert answer or query.endswith("> 0"), query
        assert await daemon.stop() == 0
