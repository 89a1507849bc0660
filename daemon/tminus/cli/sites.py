"""Commands on the inventory: which routers there are, and which host keys they have."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, asynchronous, print_json
from tminus.cli.inputs import read_text
from tminus.cli.outdated import warn_of_outdated
from tminus.cli.scan import scan
from tminus.errors import UsageError

if TYPE_CHECKING:
    import asyncpg

    from tminus.cli.inventory import Place


@click.group()
def site() -> None:
    """Keep the inventory of routers."""


@site.command("import")
@click.argument("file", metavar="FILE")
@click.option("--dry-run", is_flag=True, help="Check and count, but change nothing.")
@as_json_option
@asynchronous
async def import_(context: Context, file: str, *, dry_run: bool, as_json: bool) -> None:
    """Add and update sites from a CSV file with a header line or a JSON array of objects, or from stdin for '-'.

    Columns, or keys, are id, address and, as you like, name, port, username, credential, host_key, ssh_profile, jump_host,
    runner, tags (in CSV separated by blanks or ';'), timezone, enabled, sensitive_export and return_address. A column that is not there
    stays as it is. All of the file is imported, or nothing.
    """
    from tminus.cli.inventory import in_order, read_inventory
    from tminus.cli.inventory_json import is_json, read_json
    from tminus.store.pool import statement

    text, name = read_text(file)
    inventory = read_json(text, name) if is_json(text) else read_inventory(text, name)
    columns = list(inventory.columns)
    async with context.connect() as connection:
        transaction = connection.transaction()
        await transaction.start()
        rows = await connection.fetch(statement("place_sites"), json.dumps(inventory.documents()), columns)
        inventory = in_order(inventory, [_place(row) for row in rows], name)
        touched = await connection.fetch(statement("import_sites"), json.dumps(inventory.documents()), columns)
        outdated = await connection.fetch(statement("outdated_authorizations"), [row["id"] for row in touched])
        await (transaction.rollback() if dry_run else transaction.commit())
    added = sorted(row["id"] for row in touched if row["added"])
    changed = sorted(row["id"] for row in touched if not row["added"])
    unchanged = len(inventory.sites) - len(touched)
    if as_json:
        print_json({"added": added, "changed": changed, "unchanged": unchanged, "dry_run": dry_run})
    else:
        tail = " (dry run: nothing was written)" if dry_run else ""
        click.echo(f"{len(added)} added, {len(changed)} changed, {unchanged} unchanged{tail}")
    warn_of_outdated(outdated)


def _place(row: asyncpg.Record) -> Place:
    from tminus.cli.inventory import Place

    return Place(
        site_id=row["id"],
        where=(row["runner"], row["jump_host"], row["address"], row["port"]),
        holder=row["holder"],
    )


@site.command("list")
@click.option("--tag", help="Only sites with this tag.")
@as_json_option
@asynchronous
async def list_(context: Context, tag: str | None, *, as_json: bool) -> None:
    """List the sites."""
    from tminus.store.pool import statement

    async with context.connect() as connection:
        rows = await connection.fetch(statement("list_sites"), tag)
    if as_json:
        print_json([dict(row) for row in rows])
        return
    if not rows:
        click.echo(
            "no site has this tag" if tag else "there are no sites yet; add some with 'tminus site import FILE'",
            err=True,
        )
        return
    shown = screen.table("site", "name", "address", "version", "model", "identity", "tags", "host key", "seen", "")
    for row in rows:
        shown.add_row(
            screen.text(row["id"]),
            screen.text(row["name"] if row["name"] != row["id"] else None),
            screen.text(row["address"] + ("" if row["port"] == 22 else f":{row['port']}")),
            screen.text(row["version"]),
            screen.text(row["model"]),
            screen.text(row["identity"]),
            screen.text(" ".join(row["tags"])),
            "pinned" if row["host_key"] else "seen" if row["seen_host_key"] else screen.text("none", "yellow"),
            screen.moment(row["last_seen_at"]),
            "" if row["enabled"] else screen.text("disabled", "yellow"),
        )
    screen.console().print(shown)


@site.command()
@click.argument("site_id", metavar="SITE")
@click.option("--key", help="The key, as in ssh_host_ed25519_key.pub; the one seen first, unless given.")
@asynchronous
async def pin(context: Context, site_id: str, key: str | None) -> None:
    """Pin the host key of a router: with any other key nobody logs in.

    Compare the fingerprint with the router's own before you rely on it.
    """
    from tminus.device.hostkeys import HostKey
    from tminus.store.pool import statement

    try:
        new = HostKey.parse(key) if key is not None else None
    except ValueError as error:
        raise UsageError(f"--key is no OpenSSH public key: {error}") from None
    async with context.connect() as connection, connection.transaction():
        keys = await connection.fetchrow(statement("site_keys"), site_id)
        if keys is None:
            raise UsageError(f"there is no site {site_id!r}; 'tminus site list' lists them")
        old = _readable(keys["host_key"])
        if new is None:
            # The key seen first is older than a pinned one: to fall back to it is never what was meant.
            if old is not None:
                raise UsageError(
                    f"site {site_id} has a pinned key already, {old}; give the new one with --key 'ssh-ed25519 AAAA…'"
                )
            if not keys["seen_host_key"]:
                raise UsageError(f"no key of site {site_id} was seen yet; give it with --key 'ssh-ed25519 AAAA…'")
            new = HostKey.parse(keys["seen_host_key"])
        await connection.execute(statement("pin_site"), site_id, new.text)
        outdated = await connection.fetch(statement("outdated_authorizations"), [site_id])
    if old == str(new):
        click.echo(f"site {site_id} has this key pinned already: {new}")
    else:
        click.echo(f"site {site_id}: pinned {new}{f'; before: {old}' if old else ''}")
    warn_of_outdated(outdated)


def _readable(host_key: str | None) -> str | None:
    """Return kind and fingerprint of a pinned key; the database takes any base64, so it may be no key at all."""
    from tminus.device.hostkeys import HostKey

    if host_key is None:
        return None
    try:
        return str(HostKey.parse(host_key))
    except ValueError:
        return f"{screen.one_line(host_key, 40)} (which is no key)"


site.add_command(scan)

COMMANDS = (site,)
