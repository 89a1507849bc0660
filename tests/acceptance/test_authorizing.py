"""What approvers type: review, request, sign, authorize, withdraw."""

from __future__ import annotations

import asyncio
import os
import re
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.acceptance.test_cli import Cli, cli, on_terminal
from tests.signing import NAMESPACE, Approver
from tminus.signatures import Signers
from tminus.store.embedded import psql

__all__ = ["cli"]  # a fixture

# A database that shows one script and names the digest of another.
LIE = """
alter function tminus.row_digest(tminus.scheduled_scripts) rename to honest_row_digest;
create function tminus.row_digest(s tminus.scheduled_scripts) returns text language plpgsql stable as $$
begin
    s.script := ':put evil';
    return tminus.honest_row_digest(s);
end $$;
grant execute on function tminus.row_digest(tminus.scheduled_scripts), tminus.honest_row_digest(tminus.scheduled_scripts) to public;
"""


async def stored(cli: Cli, script: str) -> Any:
    return (await cli.db.fetch("select * from tminus.authorizations where script_id = $1 order by id desc", script))[0]


async def counts(cli: Cli, script: str, approver: Approver, folder: Path) -> str | None:
    """Why the stored signature does not count; None if it does, over what the database states."""
    row = await stored(cli, script)
    text = await cli.db.value("select tminus.statement($1, $2, $3)", script, row["approver"], row["expires_at"])
    (folder / "allowed").write_text(approver.signs_for())
    return await Signers(folder / "allowed", None).why_invalid(
        f"{text}\n".encode(), row["signature"], signer=row["approver"], namespace=NAMESPACE
    )


async def test_review_shows_the_whole_and_what_changed(cli: Cli) -> None:
    script = await cli.submit("--tag", "north", "--notify", "bob", script=":put one\n:put two\n")
    await cli.ok("request", script, login="alice")
    shown = (await cli.ok("review", script, login="bob")).out
    digest = await cli.db.value("select tminus.digest($1)", script)
    for words in (
        digest,
        ":put two",
        "site_a  192.0.2.1  never seen, no pinned key",
        "requested",
        "by alice at",
        "2 sites",
    ):
        assert words in shown
    await cli.ok("authorize", script, "--digest", digest, login="bob")
    await cli.db.fetch(
        "update tminus.scheduled_scripts set script = ':put one\n:put 2', sites = '{site_a,site_c}' where id = $1",
        script,
        role="alice",
    )
    shown = (await cli.ok("review", script, login="rita")).out
    for words in ("since bob authorized it", "-:put two", "+:put 2", "sites added: site_c", "sites removed: site_b"):
        assert words in shown
    whole = (await cli.ok("review", script, "--json", login="rita")).json()
    assert [site["id"] for site in whole["sites"]] == ["site_a", "site_c"]
    assert (await cli.ok("review", script, "--all", login="rita")).out.count("\n") == 2


async def test_what_is_signed_is_what_was_shown_and_is_what_the_database_states(cli: Cli, tmp_path: Path) -> None:
    bob = Approver.make(tmp_path, "bob")
    script = await cli.submit("--tag", "north")
    digest = await cli.db.value("select tminus.digest($1)", script)
    answer = await cli.ok(
        "authorize",
        script,
        "--digest",
        digest,
        "--sign",
        str(bob.key),
        "--expires",
        "2d",
        "--reason",
        "agreed",
        login="bob",
    )
    assert "as bob, signed" in answer.out
    assert f"digest: {digest}\n" in answer.err
    assert "approver: bob\n" in answer.err
    assert (await stored(cli, script))["reason"] == "agreed"
    assert await counts(cli, script, bob, tmp_path) is None


async def test_a_signature_made_elsewhere_is_stored_later(cli: Cli, tmp_path: Path) -> None:
    bob = Approver.make(tmp_path, "bob")
    for options in ((), ("--expires", "3h")):
        script = await cli.submit()
        digest = await cli.db.value("select tminus.digest($1)", script)
        before = await cli.state()
        made = await cli.ok("sign", script, str(bob.key), "--digest", digest, *options, login="bob")
        assert await cli.state() == before
        (tmp_path / "signature").write_text(made.out)
        await cli.ok("authorize", script, "--digest", digest, "--signature", str(tmp_path / "signature"), login="bob")
        assert ((await stored(cli, script))["expires_at"] is None) == (not options)
        assert await counts(cli, script, bob, tmp_path) is None


async def test_with_plain_psql_and_ssh_keygen(cli: Cli, tmp_path: Path) -> None:
    """The very lines of README."""
    bob = Approver.make(tmp_path / ".ssh", "bob")
    bob.key.rename(tmp_path / ".ssh/id_ed25519")
    script = await cli.submit()
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    [lines] = re.findall(r"\n((?:    .*\n)*?    ssh-keygen -Y sign(?:.*\n)(?:    .*\n)+)", readme)
    commands = textwrap.dedent(lines).replace("018f5bda-4690-4432-8472-358b2734f19b", script)
    url = urlsplit(cli.db.dsn_as("bob"))
    connection = dict(parse_qsl(url.query))
    process = await asyncio.create_subprocess_exec(
        "bash", "-ec", commands, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": f"{Path(psql()).parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "PGUSER": "bob", "PGHOST": connection["host"],
            "PGPORT": connection["port"], "PGDATABASE": url.path.strip("/"),
        },
    )  # fmt: skip
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert (await cli.db.script(script))["authorized_by"] == "bob"
    assert await counts(cli, script, bob, tmp_path) is None


async def test_a_key_in_an_agent_signs_by_its_public_half(cli: Cli, tmp_path: Path) -> None:
    bob = Approver.make(tmp_path, "bob")
    script = await cli.submit()
    digest = await cli.db.value("select tminus.digest($1)", script)
    # ssh-keygen looks for the private half in the agent, then beside it; here it is beside it.
    await cli.ok("authorize", script, "--digest", digest, "--sign", f"{bob.key}.pub", login="bob")
    assert await counts(cli, script, bob, tmp_path) is None


async def test_a_database_that_shows_one_thing_and_means_another_gets_nothing_signed(cli: Cli, tmp_path: Path) -> None:
    bob = Approver.make(tmp_path, "bob")
    script = await cli.submit()
    await cli.db.run(LIE)
    digest = await cli.db.value("select tminus.digest($1)", script)
    before = await cli.state()
    for command in (
        ("authorize", script, "--digest", digest, "--sign", str(bob.key)),
        ("sign", script, str(bob.key), "--digest", digest),
        ("review", script),
    ):
        (await cli(*command, login="bob")).refused("nothing was authorized", "find out why", code=4)
    async with on_terminal(cli.db, "bob", "authorize", script, "--yes", "--sign", str(bob.key)) as terminal:
        assert await terminal.end() == 4
    assert await cli.state() == before


async def test_what_cannot_be_signed_changes_nothing(cli: Cli, tmp_path: Path) -> None:
    bob = Approver.make(tmp_path, "bob")
    script = await cli.submit()
    digest = await cli.db.value("select tminus.digest($1)", script)
    before = await cli.state()
    stale = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    nothing = str(tmp_path / "nothing")
    (tmp_path / "nonsense").write_text("nonsense")
    for options, words in (
        (("--digest", stale, "--sign", str(bob.key)), "does not match"),
        (("--digest", digest, "--sign", nothing), "did not sign"),
        (("--digest", digest, "--signature", nothing), "cannot be read"),
        (("--digest", digest, "--signature", str(tmp_path / "nonsense")), "holds no signature"),
        (("--digest", digest, "--signature", nothing, "--sign", nothing), "not both"),
    ):
        answer = await cli("authorize", script, *options, login="bob")
        assert (answer.code, answer.out) == (2, "")
        assert words in answer.err
    assert await cli.state() == before


async def test_an_authorization_is_withdrawn(cli: Cli) -> None:
    script = await cli.submit()
    (await cli("withdraw", script, "--reason", "x", login="bob")).refused("no authorization to withdraw", code=1)
    digest = await cli.db.value("select tminus.digest($1)", script)
    await cli.ok("authorize", script, "--digest", digest, login="bob")
    answer = await cli.ok("withdraw", script, "--reason", "the window was moved", "--json", login="bob")
    assert answer.json()["status"] == "unauthorized"
    assert "the window was moved" in answer.json()["status_reason"]


async def test_the_time_of_the_policy_is_signed(cli: Cli, tmp_path: Path) -> None:
    bob = Approver.make(tmp_path, "bob")
    await cli.db.run("update tminus.policy set authorization_ttl = '1 day'")
    script = await cli.submit()
    digest = await cli.db.value("select tminus.digest($1)", script)
    await cli.ok("authorize", script, "--digest", digest, "--sign", str(bob.key), login="bob")
    row = await stored(cli, script)
    assert timedelta(hours=23) < row["expires_at"] - row["at"] < timedelta(days=1)
    assert await counts(cli, script, bob, tmp_path) is None
