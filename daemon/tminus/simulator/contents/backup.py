"""``/system backup``: the whole configuration in one binary file, and back.

Only a router of the simulator can read it. As on a router it holds what an export does not show (users, ids, order),
and with a password nothing can be read without it. The format is a magic line, a salt, and compressed JSON.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import zlib
from collections.abc import Mapping

from tminus.simulator.config.config import Item, Table
from tminus.simulator.config.menus import find
from tminus.simulator.config.schema import Path

_MAGIC = b"SIMULATED-BACKUP-1\n"
_SALT_BYTES = 16
_CHECK = b"ok\n"
MAX_BYTES = 64 << 20


class WrongBackup(Exception):
    """The file is no backup, or the password is not its own."""


def pack(tables: Mapping[Path, Table], password: str) -> bytes:
    rows = {
        " ".join(path): [
            {"id": item.id, "values": dict(item.values), "factory": item.factory and dict(item.factory)}
            for item in table.items
            if not item.dynamic
        ]
        for path, table in tables.items()
    }
    salt = secrets.token_bytes(_SALT_BYTES)
    return _MAGIC + salt + _cipher(_CHECK + zlib.compress(json.dumps(rows).encode("ascii"), 1), password, salt)


def unpack(content: bytes, password: str) -> dict[Path, Table]:
    """The tables of a backup; WrongBackup if the file or the password is wrong."""
    if not content.startswith(_MAGIC):
        raise WrongBackup
    salt, body = content[len(_MAGIC) :][:_SALT_BYTES], content[len(_MAGIC) + _SALT_BYTES :]
    plain = _cipher(body, password, salt)
    if not plain.startswith(_CHECK):
        raise WrongBackup
    try:
        unpacker = zlib.decompressobj()
        rows = json.loads(unpacker.decompress(plain[len(_CHECK) :], MAX_BYTES))
        return {
            path: Table.of(menu, map(_item, rows[text]))
            for text in rows
            if (menu := find(path := _path(text))) is not None
        }
    except (zlib.error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WrongBackup from error


def _path(text: str) -> Path:
    return tuple(text.split())


def _item(row: Mapping[str, object]) -> Item:
    number, values, factory = row["id"], row["values"], row["factory"]
    if not isinstance(number, int) or not isinstance(values, dict):
        raise WrongBackup
    return Item(
        id=number,
        values={str(name): str(value) for name, value in values.items()},
        factory={str(name): str(value) for name, value in factory.items()} if isinstance(factory, dict) else None,
    )


def _cipher(data: bytes, password: str, salt: bytes) -> bytes:
    """Its own inverse. Without a password nothing is hidden."""
    if not password:
        return data
    stream = hashlib.shake_256(salt + password.encode("utf-8", "surrogateescape")).digest(len(data))
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(data), "big")
