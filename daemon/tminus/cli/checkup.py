"""What 'tminus check' looks at: everything that would stop a daemon here, or make it less than it promises.

It starts nothing and changes nothing: each connection is read-only, an embedded database that does not run stays so, and
an address is tried without listening on it. A check that needs an earlier one is skipped and says so.
"""

from __future__ import annotations

from pathlib import Path

from tminus.cli import check_database, check_host
from tminus.cli.check_finding import Finding, refused, skipped
from tminus.errors import ConfigError


async def examine(config_file: Path | None) -> list[Finding]:
    """Look at everything, in an order in which each thing builds on those before it."""
    from tminus.settings import credentials_base, load_settings

    try:
        settings = load_settings(config_file)
    except ConfigError as error:
        later = ("credentials", "state", "open files", "listener", *check_database.OF_THE_DATABASE)
        return [refused("configuration", error), *(skipped(check, "needs a valid configuration") for check in later)]
    memory, last = check_host.memory(settings)
    return [
        check_host.configuration(settings, config_file),
        *check_host.credentials(settings, credentials_base(config_file)),
        *check_host.signatures(settings, credentials_base(config_file)),
        *check_host.api_keys(settings, credentials_base(config_file)),
        *check_host.channels(settings, credentials_base(config_file)),
        memory,
        check_host.open_files(settings),
        await check_host.listener(settings),
        *await check_database.database(settings, last),
    ]
