"""Approvers with SSH keys, for the tests of signed authorizations: keys and signatures are made by ssh-keygen."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.support import Db

NAMESPACE = "tminus-authorization@v1"


def keygen(*arguments: object, stdin: bytes | None = None) -> bytes:
    done = subprocess.run(
        ["ssh-keygen", *map(str, arguments)], input=stdin, capture_output=True, check=False, timeout=20
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@dataclass(frozen=True, kw_only=True)
class Approver:
    name: str
    key: Path

    @classmethod
    def make(cls, folder: Path, name: str, kind: str = "ed25519") -> Approver:
        folder.mkdir(parents=True, exist_ok=True)
        key = folder / f"{name}_{kind}"
        keygen("-q", "-t", kind, "-N", "", "-C", "", "-f", key)
        return cls(name=name, key=key)

    @property
    def public(self) -> str:
        return self.key.with_name(self.key.name + ".pub").read_text().strip()

    def signs_for(self, *options: str) -> str:
        """A line of allowed_signers."""
        named = ",".join((f'namespaces="{NAMESPACE}"', *options))
        return f"{self.name} {named} {self.public}\n"

    def sign(self, text: str, *, namespace: str = NAMESPACE) -> str:
        """Sign a statement as psql prints it: with one newline more."""
        return keygen("-Y", "sign", "-q", "-f", self.key, "-n", namespace, stdin=text.encode() + b"\n").decode()

    async def authorize(
        self, db: Db, script: object, *, expires: datetime | None = None, role: str = "api", namespace: str = NAMESPACE
    ) -> None:
        """Sign what the database says it is, and store it."""
        text = await db.value("select tminus.statement($1, $2, $3)", script, self.name, expires, role=role)
        await db.value(
            "select tminus.authorize($1, tminus.digest($1), $2, signature => $3, expires => $4)",
            script, self.name, self.sign(text, namespace=namespace), expires, role=role,
        )  # fmt: skip
