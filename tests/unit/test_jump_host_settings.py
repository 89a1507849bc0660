"""Jump hosts and runner tags in the configuration: what is missing is one sentence that says where."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from tminus.configured import load_credentials, load_jump_hosts
from tminus.errors import ConfigError
from tminus.settings import Settings, load_settings

KEY = "ssh-ed25519 " + base64.b64encode(b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + bytes(range(32))).decode()
GATE = '[jump_hosts.gate]\naddress = "192.0.2.1"\n'
KEYS = f'host_keys = ["{KEY} a comment"]\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:
        if name.startswith("TMINUS_"):
            monkeypatch.delenv(name)
    (tmp_path / "secret").write_text("swordfish\n")
    return tmp_path


def read(folder: Path, text: str) -> Settings:
    file = folder / "tminus.toml"
    file.write_text(text)
    return load_settings(file)


def test_a_jump_host_has_a_credential_of_its_own_or_one_that_is_named(folder: Path) -> None:
    settings = read(
        folder,
        '[credentials.ops]\nusername = "ops"\npassword_file = "secret"\n'
        + GATE + KEYS + 'credential = "ops"\n'
        + GATE.replace("gate", "far") + KEYS + 'username = "jump"\npassword_file = "secret"\nport = 2222\nmax_sites = 7\n',
    )  # fmt: skip
    credentials = load_credentials(settings, folder)
    gate, far = load_jump_hosts(settings, folder, credentials)
    assert (gate.name, gate.username, gate.port, gate.max_sites) == ("gate", "ops", 22, 50)
    assert gate.credential is credentials["ops"]
    assert (far.username, far.port, far.max_sites) == ("jump", 2222, 7)
    assert [key.text for key in far.host_keys] == [KEY]
    assert "swordfish" not in repr(far)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GATE + 'username = "u"\npassword_file = "secret"\n', "jump_hosts.gate.host_keys"),
        (GATE + 'host_keys = []\nusername = "u"\npassword_file = "secret"\n', "jump_hosts.gate.host_keys"),
        (GATE + 'host_keys = ["ssh-rsa nonsense"]\nusername = "u"\npassword_file = "secret"\n', "ssh-keyscan 192.0.2.1"),
        (GATE + KEYS + 'username = "u"\n', "of jump host gate"),
        (GATE + KEYS + 'credential = "none"\n', "[jump_hosts.gate] names the credential 'none'"),
        (GATE + KEYS + 'password_file = "secret"\n', "[jump_hosts.gate] has no username"),
        (GATE + KEYS + 'max_site = 3\n', "did you mean 'max_sites'?"),
        (GATE + KEYS + 'max_sites = 0\n', "max_sites"),
        ("[jump_hosts.gate]\n" + KEYS, "jump_hosts.gate.address"),
        (
            '[credentials.ops]\nusername = "ops"\npassword_file = "secret"\n'
            + GATE + KEYS + 'credential = "ops"\npassword_file = "secret"\n',
            "both a credential and a secret",
        ),
        ('runner_tags = [""]\n', "runner_tags"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_jump_host_is_said(folder: Path, text: str, said: str) -> None:
    def load() -> None:
        settings = read(folder, text)
        load_jump_hosts(settings, folder, load_credentials(settings, folder))

    with pytest.raises(ConfigError) as caught:
        load()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "swordfish" not in str(caught.value)


def test_a_daemon_answers_to_its_name_and_its_tags(folder: Path) -> None:
    settings = read(folder, 'instance_name = "ops1"\nrunner_tags = ["north", "east"]\n')
    assert settings.runners == {"ops1", "north", "east"}


def test_the_example_configuration_is_valid_with_every_line_of_a_jump_host(folder: Path) -> None:
    example = (Path(__file__).parents[2] / "config" / "tminus.toml").read_text()
    block = example[example.index("# [jump_hosts.berlin]") :].partition("\n# -- ")[0]
    lines = [line.removeprefix("# ") for line in block.splitlines()]
    text = "\n".join(lines).replace("ssh-ed25519 AAAA…", KEY).replace("/etc/tminus/berlin", "berlin")
    settings = read(folder, example[: example.index("# -- Through what")] + text)
    assert settings.jump_hosts["berlin"].address == "bastion.berlin.example.net"
