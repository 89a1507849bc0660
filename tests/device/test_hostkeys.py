"""Host keys as text, and what is offered for them."""

import base64

import pytest

from tests.device.servers import key, text
from tminus.device.hostkeys import HostKey
from tminus.device.profiles import SshProfile, host_key_algorithms

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


def test_a_key_is_read_with_and_without_a_comment_and_written_without() -> None:
    assert HostKey.parse(ED25519).text == ED25519
    assert HostKey.parse(f"  {ED25519} admin@router 2026\n") == HostKey.parse(ED25519)


def test_the_fingerprint_is_the_one_that_openssh_publishes_for_this_key() -> None:
    # GitHub's published Ed25519 host key and its fingerprint.
    assert HostKey.parse(ED25519).fingerprint == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
def test_keys_of_every_kind_come_back_as_asyncssh_writes_them(kind: str) -> None:
    exported = key(kind).export_public_key().decode()
    assert HostKey.parse(exported).text == text(key(kind))
    assert HostKey.parse(exported).fingerprint == key(kind).get_fingerprint()


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("", "one line"),
        ("ssh-ed25519", "one line"),
        (f"{ED25519}\n{ED25519}", "one line"),
        ("ssh-ed25519 ????", "base64"),
        ("ssh-ed25519 " + base64.b64encode(b"\0\0\0\7ssh-rsa").decode(), "not of type ssh-ed25519"),
        ("ssh-rsa " + ED25519.split()[1], "not of type ssh-rsa"),
        (f"10.0.0.1 {ED25519}", "base64"),
    ],
)
def test_other_text_is_refused_with_the_reason(bad: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        HostKey.parse(bad)


def test_the_kind_that_is_pinned_is_offered_first_and_every_other_kind_after_it() -> None:
    offered = host_key_algorithms("ssh-rsa", SshProfile.MODERN)
    assert offered[:2] == ("rsa-sha2-512", "rsa-sha2-256")
    assert "ssh-ed25519" in offered
    assert "ssh-dss" in offered  # so that a change to it is seen
    assert "ssh-rsa" not in offered  # a SHA-1 signature by the pinned key would be accepted


def test_sha1_signatures_are_accepted_in_the_legacy_profile_alone() -> None:
    assert "ssh-rsa" in host_key_algorithms("ssh-rsa", SshProfile.LEGACY)
    assert "ssh-dss" in host_key_algorithms("ssh-dss", SshProfile.LEGACY)
    assert "ssh-dss" not in host_key_algorithms("ssh-dss", SshProfile.MODERN)
    assert not {"ssh-rsa", "ssh-dss"} & set(host_key_algorithms(None, SshProfile.MODERN))
    assert {"ssh-rsa", "ssh-dss"} <= set(host_key_algorithms(None, SshProfile.LEGACY))
