"""Keys and secrets that prove tokens: which are taken at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.web.conftest import SECRET, token
from tests.web.test_tokens import RSA_KEY
from tminus.errors import ConfigError
from tminus.web.jwks import check_url
from tminus.web.key_file import KeyFile
from tminus.web.problems import Problem
from tminus.web.tokens import Checker, parse_jwks, read_secret, secret_key


def test_a_set_without_a_usable_public_key_is_refused() -> None:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    for document in (
        "{}",
        "[]",
        "rubbish",
        b"\xff",
        json.dumps({"keys": []}),
        json.dumps({"keys": [json.loads(RSAAlgorithm.to_jwk(small))]}),
        json.dumps({"keys": [json.loads(RSAAlgorithm.to_jwk(RSA_KEY.public_key())) | {"use": "enc"}]}),
    ):
        with pytest.raises(ValueError, match="it "):
            parse_jwks(document)


@pytest.mark.parametrize(
    "url", ["http://login.example.net/jwks.json", "ftp://x/", "file:///etc/passwd", "https://", "x"]
)
def test_keys_come_over_a_way_that_nobody_can_change(url: str) -> None:
    with pytest.raises(ConfigError, match="api_jwks_url"):
        check_url(url)


def test_a_secret_that_is_weak_or_open_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_secret(file)
    file.write_bytes(b"short\n")
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="5 bytes and needs 32"):
        read_secret(file)
    file.write_bytes(SECRET + b"\n")
    assert read_secret(file) == SECRET
    file.chmod(0o604)
    with pytest.raises(ConfigError, match="everybody may read"):
        read_secret(file)


async def test_a_secret_that_is_replaced_or_taken_away_proves_nothing_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tminus.web.key_file._LOOK_EVERY", 0.0)
    file = tmp_path / "api.secret"

    def write(secret: bytes) -> None:
        new = tmp_path / "new"
        new.write_bytes(secret)
        new.chmod(0o600)
        new.rename(file)

    write(SECRET)
    checker = Checker(
        issuer="tminus", audience="tminus", source=KeyFile(file, lambda path: (secret_key(read_secret(path)),))
    )
    old = f"Bearer {token()}"
    assert (await checker.person(old)).name == "alice"
    write(b"x" * 32)
    with pytest.raises(Problem, match="signature") as refused:
        await checker.person(old)
    assert refused.value.status == 401
    for spoil in (file.unlink, lambda: write(b"short"), lambda: file.write_bytes(b"")):
        spoil()
        with pytest.raises(Problem, match="cannot be read") as refused:
            await checker.person(old)
        assert refused.value.status == 503
    write(SECRET)
    assert (await checker.person(old)).name == "alice"


def test_a_file_that_is_not_good_to_begin_with_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        KeyFile(tmp_path / "none", lambda path: (secret_key(read_secret(path)),))
