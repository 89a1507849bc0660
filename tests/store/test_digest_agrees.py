"""SQL and the vectors agree on every digest (and so, by tests/unit/test_digest.py, does the daemon)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support import Db

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "vectors" / "digest.json").read_text("utf-8"))


def as_columns(vector: dict[str, Any]) -> dict[str, Any]:
    """The row as PostgreSQL reads it from JSON, with what an insert would fill in."""
    row = {
        "variables": {},
        "expects_disconnect": False,
        "detached": False,
        "wave_confirm": False,
        "windows": [],
        "missed_policy": "skip",
        "post_checks": [],
        **vector["row"],
    }
    for duration in {"start_within", "site_timeout", "wave_pause", "confirm_within", "guard_uptime"} & row.keys():
        row[duration] = f"{row[duration]} microseconds"
    moment = "2030-01-01T00:00:00Z"
    row |= {
        "sites": [site["id"] for site in vector["sites"]],
        "status": "unauthorized",
        "description": "",
        "notify": [],
        "summary_generated": False,
    }
    return row | {"created_by": "alice", "updated_by": "alice", "created_at": moment, "updated_at": moment}


async def test_sql_computes_the_parts_of_every_vector(database: Db) -> None:
    async with database.connect() as connection:
        for vector in VECTORS:
            row = await connection.fetchval(
                "select tminus.row_digest(jsonb_populate_record(null::tminus.scheduled_scripts, $1::jsonb))",
                json.dumps(as_columns(vector)),
            )
            sites = [
                await connection.fetchval(
                    "select tminus.site_digest(s, tminus.variables_field("
                    "tminus.variable_names(tminus.code($2, $4)), $3::jsonb, s.variables))"
                    " from jsonb_populate_record(null::tminus.sites, $1::jsonb) as s",
                    json.dumps({"variables": {}} | site),
                    vector["row"]["script"],
                    json.dumps(vector["row"].get("variables", {})),
                    vector["row"].get("post_checks", []),
                )
                for site in vector["sites"]
            ]
            assert (vector["name"], row, sites) == (vector["name"], vector["row_digest"], vector["site_digests"])


async def test_sql_shows_an_approver_the_digest_of_every_vector(database: Db) -> None:
    async with database.connect() as connection:
        # Their moments pass one day: the rules for new rows are not what is tested here.
        await connection.execute("set session_replication_role = replica")
        for vector in VECTORS:
            await connection.execute("delete from tminus.scheduled_scripts; delete from tminus.sites")
            defaults = {
                "name": "n",
                "ssh_profile": "modern",
                "tags": [],
                "timezone": "UTC",
                "variables": {},
                "enabled": True,
                "allow_tests": False,
                "sensitive_export": False,
            }
            moments = {"created_at": "2030-01-01T00:00:00Z", "updated_at": "2030-01-01T00:00:00Z"}
            for number, site in enumerate(vector["sites"]):
                unique = {"runner": f"r{number}"}  # one router each, and the vectors repeat addresses
                await connection.execute(
                    "insert into tminus.sites select * from jsonb_populate_record(null::tminus.sites, $1::jsonb)",
                    json.dumps(defaults | moments | unique | site),
                )
            await connection.execute(
                "insert into tminus.scheduled_scripts"
                " select * from jsonb_populate_record(null::tminus.scheduled_scripts, $1::jsonb)",
                json.dumps(as_columns(vector)),
            )
            shown = await connection.fetchval("select tminus.digest($1::text::uuid)", vector["row"]["id"])
            assert (vector["name"], shown) == (vector["name"], vector["digest"])
