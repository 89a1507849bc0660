"""Keys and secrets that prove tokens: which are taken at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.web.conftest import SECRET
from tests.web.test_tokens import RSA_KEY
from tminus.errors import ConfigError
from tminus.web.jwks import check_url
from tminus.web.tokens import parse_jwks, read_secret


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
