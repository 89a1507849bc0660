"""Credential files, and what is wrong with them."""

import base64
import os
from pathlib import Path

import asyncssh
import pytest
from pydantic import SecretStr

from tests.device.servers import Access, connector, key, router, target
from tminus.device.credentials import Credential, check_username, load_credential
from tminus.errors import ConfigError


def _load(base: Path, *, key_file: str | Path | None = None, password_file: str | Path | None = None) -> Credential:
    return load_credential(
        "ops",
        username="admin",
        private_key_file=Path(key_file) if key_file else None,
        password_file=Path(password_file) if password_file else None,
        base=base,
    )


def _write(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


@pytest.fixture(autouse=True)
def _without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


@pytest.mark.parametrize("form", ["openssh", "pkcs8-pem", "pkcs1-pem"])
def test_a_private_key_is_loaded_as_an_object(tmp_path: Path, form: str) -> None:
    pair = key("ssh-rsa")
    _write(tmp_path / "id", pair.export_private_key(form))
    credential = _load(tmp_path, key_file="id")
    assert credential.key == pair
    assert credential.password is None
    assert (credential.name, credential.username) == ("ops", "admin")


@pytest.mark.parametrize("content", [b"s3cret w\xc3\xb6rd\n", b"s3cret w\xc3\xb6rd\r\n", b"s3cret w\xc3\xb6rd"])
def test_a_password_is_the_one_line_of_its_file(tmp_path: Path, content: bytes) -> None:
    _write(tmp_path / "pw", content)
    credential = _load(tmp_path, password_file="pw")
    assert credential.password == SecretStr("s3cret wörd")
    assert credential.key is None


def test_a_relative_name_is_found_in_the_folder_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    _write(tmp_path / "keys" / "pw", b"one")
    assert _load(tmp_path, password_file="keys/pw").password == SecretStr("one")


def test_a_relative_name_is_found_in_the_credentials_directory_of_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "given"
    given.mkdir()
    # systemd lets the service user in by an ACL, whose mask shows as permissions of the group.
    _write(given / "id", key().export_private_key(), 0o440)
    _write(tmp_path / "id", b"not this one")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(given))
    assert _load(tmp_path, key_file="id").key == key()
    assert _load(tmp_path, key_file=given / "id").key == key()


def test_an_absolute_name_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "elsewhere"))
    _write(tmp_path / "id", key().export_private_key())
    assert _load(Path("/nowhere"), key_file=tmp_path / "id").key == key()
    (tmp_path / "id").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        _load(Path("/nowhere"), key_file=tmp_path / "id")


def test_nothing_secret_shows_in_the_repr(tmp_path: Path) -> None:
    _write(tmp_path / "pw", b"s3cret")
    _write(tmp_path / "id", key().export_private_key())
    shown = repr(_load(tmp_path, password_file="pw")) + repr(_load(tmp_path, key_file="id"))
    assert "s3cret" not in shown
    assert "key" not in shown
    assert "ops" in shown


def _encrypted(form: str, cipher: str | None = None) -> bytes:
    more = {"cipher_name": cipher} if cipher else {}
    return key("ssh-rsa").export_private_key(form, passphrase="x", **more)


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        (None, 0, "private key file {} of credential 'ops' does not exist; correct its name or create it"),
        (b"hello", 0o600, "private key file {} of credential 'ops' holds no private key that can be read"),
        (b"", 0o600, "holds no private key"),
        (b"\xff\x00", 0o600, "holds no private key"),
        (key().export_public_key(), 0o600, "holds no private key"),
        (key().export_private_key()[:150], 0o600, "holds no private key"),
        (_encrypted("pkcs8-pem"), 0o600, "is protected by a passphrase"),
        (_encrypted("pkcs1-pem", "aes128-cbc"), 0o600, "is protected by a passphrase"),
        (key().export_private_key(), 0o640, "is open to other users; run 'chmod 600 {}'"),
        (key().export_private_key(), 0o604, "is open to other users"),
        (b"x" * 70_000, 0o600, "is larger than 64 KiB"),
    ],
)
def test_a_bad_key_file_is_one_sentence_with_the_remedy(
    tmp_path: Path, content: bytes | None, mode: int, sentence: str
) -> None:
    path = tmp_path / "id"
    if content is not None:
        _write(path, content, mode)
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, key_file="id")
    assert sentence.format(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_with_a_passphrase_in_openssh_form_is_refused_without_the_library_to_decrypt_it(tmp_path: Path) -> None:
    # An OpenSSH container that names a cipher; what follows it is never read.
    body = b"openssh-key-v1\0" + b"".join(
        len(part).to_bytes(4, "big") + part for part in (b"aes256-ctr", b"bcrypt", b"\0\0\0\4salt\0\0\0\x10")
    )
    body += (1).to_bytes(4, "big") + b"".join(
        len(part).to_bytes(4, "big") + part for part in (key().public_data, b"x" * 64)
    )
    pem = b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + base64.encodebytes(body) + b"-----END OPENSSH PRIVATE KEY-----\n"
    _write(tmp_path / "id", pem)
    with pytest.raises(ConfigError, match="protected by a passphrase"):
        _load(tmp_path, key_file="id")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "does not exist"),
        (b"", "is empty; write the password to it"),
        (b"\n", "is empty"),
        (b"one\ntwo\n", "has more than one line"),
        (b"nul\0", "has more than one line"),
        (b"s3cr\xff", "is not UTF-8 text"),
    ],
)
def test_a_bad_password_file_is_one_sentence_without_the_password(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    path = tmp_path / "pw"
    if content is not None:
        _write(path, content)
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, password_file="pw")
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)
    assert "credential 'ops'" in str(caught.value)
    assert "s3cr" not in str(caught.value)
    assert b"s3cr" not in repr(caught.value.__context__).encode()


def test_a_folder_and_a_pipe_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("folder", "pipe"):
        with pytest.raises(ConfigError, match="is not a regular file"):
            _load(tmp_path, key_file=name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_file_names_the_reason(tmp_path: Path) -> None:
    _write(tmp_path / "id", b"", 0)
    with pytest.raises(ConfigError, match=r"cannot be read \(Permission denied"):
        _load(tmp_path, key_file="id")


def test_a_path_through_a_file_names_the_reason(tmp_path: Path) -> None:
    _write(tmp_path / "file", b"")
    with pytest.raises(ConfigError, match=r"cannot be read \(Not a directory"):
        _load(tmp_path, key_file="file/id")


def test_both_files_or_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no secret: give it a private_key_file or a password_file"):
        _load(tmp_path)
    with pytest.raises(ConfigError, match="has both a private_key_file and a password_file"):
        _load(tmp_path, key_file="a", password_file="b")


def test_a_credential_has_exactly_one_secret() -> None:
    with pytest.raises(ValueError, match="either"):
        Credential(name="ops", username=None)
    with pytest.raises(ValueError, match="either"):
        Credential(name="ops", username=None, key=key(), password=SecretStr("x"))


@pytest.mark.parametrize("name", ["", "-c", "--help", "admin+cte", "two words", "tab\t", "a\0b", "line\n", "a\u00a0b"])
def test_user_names_that_routeros_misreads_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="use another user"):
        check_username(name, "site_41")
    with pytest.raises(ConfigError, match="credential 'ops'"):
        load_credential("ops", username=name, private_key_file=None, password_file=Path("x"), base=tmp_path)


@pytest.mark.parametrize("name", ["admin", "ops-2", "a.b_c@d*", "jörg"])
def test_other_user_names_pass(name: str) -> None:
    check_username(name, "site_41")


async def test_a_loaded_key_logs_in(tmp_path: Path) -> None:
    _write(tmp_path / "id", key(number=1).export_private_key())
    credential = _load(tmp_path, key_file="id")
    async with router(access=Access(public_key=key(number=1).convert_to_public())) as far:
        connection = await connector().connect(target(far.port), credential)
        assert (await connection.run(":put ok", deadline=5, cap=100)).output == b"ok\r\n"
        await connection.close()


def test_keys_are_asyncssh_objects_that_need_no_file_any_more(tmp_path: Path) -> None:
    path = _write(tmp_path / "id", key().export_private_key())
    credential = _load(tmp_path, key_file="id")
    path.unlink()
    assert isinstance(credential.key, asyncssh.SSHKey)
    assert credential.key.sign(b"x", b"ssh-ed25519")
