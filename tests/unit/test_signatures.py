"""Whose signature counts: allowed_signers with all that OpenSSH reads in it, revocation, hardware keys, and hostile input."""

from __future__ import annotations

import base64
import hashlib
import struct
import textwrap
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.signing import NAMESPACE, Approver, keygen
from tminus.errors import ConfigError
from tminus.signatures import CannotVerify, Signers, check_program

TEXT = "tminus authorization, version 1\nact: launch"
MESSAGE = TEXT.encode() + b"\n"


async def verify(
    folder: Path,
    allowed: str,
    signature: str,
    *,
    signer: str = "bob",
    message: bytes = MESSAGE,
    revoked: bytes | None = None,
) -> str | None:
    (folder / "allowed").write_text(allowed)
    if revoked is not None:
        (folder / "revoked").write_bytes(revoked)
    signers = Signers(folder / "allowed", folder / "revoked" if revoked is not None else None)
    return await signers.why_invalid(message, signature, signer=signer, namespace=NAMESPACE)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
async def test_a_signature_of_somebody_who_is_allowed_counts(tmp_path: Path, kind: str) -> None:
    bob = Approver.make(tmp_path, "bob", kind)
    assert await verify(tmp_path, bob.signs_for(), bob.sign(TEXT)) is None


async def test_it_counts_for_exactly_that_text_and_that_person(tmp_path: Path) -> None:
    bob, carol = Approver.make(tmp_path, "bob"), Approver.make(tmp_path, "carol")
    allowed = bob.signs_for() + carol.signs_for()
    assert await verify(tmp_path, allowed, bob.sign(TEXT), message=MESSAGE + b"\n")
    assert await verify(tmp_path, allowed, bob.sign(TEXT), message=MESSAGE.replace(b"launch", b"retry"))
    assert await verify(tmp_path, allowed, bob.sign(TEXT), signer="carol")
    assert await verify(tmp_path, allowed, bob.sign(TEXT), signer="*")
    assert await verify(tmp_path, allowed, bob.sign(TEXT), signer="bob,carol")
    assert await verify(tmp_path, carol.signs_for(), bob.sign(TEXT))
    assert await verify(tmp_path, "", bob.sign(TEXT))
    assert await verify(tmp_path, allowed, bob.sign(TEXT, namespace="git"))


async def test_a_key_that_is_allowed_for_something_else_authorizes_nothing(tmp_path: Path) -> None:
    bob = Approver.make(tmp_path, "bob")
    assert await verify(tmp_path, bob.signs_for().replace(NAMESPACE, "git"), bob.sign(TEXT))


@pytest.mark.parametrize(
    ("option", "counts"),
    [
        ('valid-before="20200101"', False),
        ('valid-after="20990101"', False),
        ('valid-after="20200101Z",valid-before="20990101Z"', True),
        ("cert-authority", False),
    ],
)
async def test_the_options_of_a_key_are_honoured(tmp_path: Path, option: str, counts: bool) -> None:
    bob = Approver.make(tmp_path, "bob")
    assert (await verify(tmp_path, bob.signs_for(option), bob.sign(TEXT)) is None) == counts


async def test_a_certificate_of_an_authority_counts_for_whom_it_names(tmp_path: Path) -> None:
    authority, bob = Approver.make(tmp_path, "ca"), Approver.make(tmp_path, "bob")
    keygen("-q", "-s", authority.key, "-I", "bob's", "-n", "bob", "-V", "+1h", bob.key.with_name(bob.key.name + ".pub"))
    certified = Approver(name="bob", key=bob.key.with_name(bob.key.name + "-cert.pub"))
    allowed = f'* cert-authority,namespaces="{NAMESPACE}" {authority.public}\n'
    # ssh-keygen takes the private key from beside the certificate.
    certified.key.with_suffix("").write_bytes(bob.key.read_bytes())
    certified.key.with_suffix("").chmod(0o600)
    signature = certified.sign(TEXT)
    assert await verify(tmp_path, allowed, signature) is None
    assert await verify(tmp_path, allowed, signature, signer="carol")


async def test_what_is_revoked_counts_no_more(tmp_path: Path) -> None:
    bob, carol = Approver.make(tmp_path, "bob"), Approver.make(tmp_path, "carol")
    allowed = bob.signs_for() + carol.signs_for()
    keygen("-q", "-k", "-f", tmp_path / "krl", bob.key.with_name(bob.key.name + ".pub"))
    for revoked in (bob.public.encode() + b"\n", (tmp_path / "krl").read_bytes()):
        assert await verify(tmp_path, allowed, bob.sign(TEXT), revoked=revoked)
        assert await verify(tmp_path, allowed, carol.sign(TEXT), signer="carol", revoked=revoked) is None
    assert await verify(tmp_path, allowed, bob.sign(TEXT), revoked=b"") is None


def _string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _mpint(value: int) -> bytes:
    return _string(value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _hardware_signature(kind: str, message: bytes, *, flags: int = 1) -> tuple[str, str]:
    """Return a public key and a signature as a security key makes them, made in software."""
    application, counter = b"ssh:", 7
    head = _string(NAMESPACE.encode()) + _string(b"") + _string(b"sha512")
    signed = b"SSHSIG" + head + _string(hashlib.sha512(message).digest())
    to_sign = (
        hashlib.sha256(application).digest() + struct.pack(">BI", flags, counter) + hashlib.sha256(signed).digest()
    )
    if kind == "sk-ssh-ed25519@openssh.com":
        edwards = ed25519.Ed25519PrivateKey.generate()
        raw = edwards.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        public, made = _string(raw), _string(edwards.sign(to_sign))
    else:
        curve = ec.generate_private_key(ec.SECP256R1())
        point = curve.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        r, s = decode_dss_signature(curve.sign(to_sign, ec.ECDSA(hashes.SHA256())))
        public, made = _string(b"nistp256") + _string(point), _string(_mpint(r) + _mpint(s))
    key = _string(kind.encode()) + public + _string(application)
    signature = _string(kind.encode()) + made + struct.pack(">BI", flags, counter)
    blob = b"SSHSIG" + struct.pack(">I", 1) + _string(key) + head + _string(signature)
    body = "\n".join(textwrap.wrap(base64.b64encode(blob).decode(), 70))
    return (
        f"{kind} {base64.b64encode(key).decode()}",
        f"-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n",
    )


@pytest.mark.parametrize("kind", ["sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"])
async def test_a_signature_of_a_hardware_key_counts(tmp_path: Path, kind: str) -> None:
    public, signature = _hardware_signature(kind, MESSAGE)
    assert await verify(tmp_path, f'bob namespaces="{NAMESPACE}" {public}\n', signature) is None
    assert await verify(tmp_path, f"bob {public}\n", signature, message=b"other\n")
    other, _ = _hardware_signature(kind, MESSAGE)
    assert await verify(tmp_path, f"bob {other}\n", signature)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "nonsense",
        "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n",
        "-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAQ==\n-----END SSH SIGNATURE-----\n",
        "-----BEGIN SSH SIGNATURE-----\n" + "A" * 1_000_000 + "\n-----END SSH SIGNATURE-----\n",
        "\x00\x1b]0;é",
    ],
)
async def test_nonsense_is_no_signature_and_is_told_in_one_line(tmp_path: Path, signature: str) -> None:
    bob = Approver.make(tmp_path, "bob")
    said = await verify(tmp_path, bob.signs_for(), signature)
    assert said
    assert said.isprintable()
    assert len(said) <= 300


async def test_what_cannot_be_verified_is_neither_good_nor_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bob = Approver.make(tmp_path, "bob")
    signature = bob.sign(TEXT)
    signers = Signers(tmp_path / "nothing", None)
    with pytest.raises(CannotVerify, match="nothing cannot be read: No such file"):
        signers.stamp()
    with pytest.raises(CannotVerify, match="cannot be read"):
        await signers.why_invalid(MESSAGE, signature, signer="bob", namespace=NAMESPACE)
    (tmp_path / "allowed").write_text(bob.signs_for())
    with pytest.raises(CannotVerify, match="revoked cannot be read"):
        await Signers(tmp_path / "allowed", tmp_path / "revoked").why_invalid(
            MESSAGE, signature, signer="bob", namespace=NAMESPACE
        )
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotVerify, match="install openssh-client"):
        await Signers(tmp_path / "allowed", None).why_invalid(MESSAGE, signature, signer="bob", namespace=NAMESPACE)
    with pytest.raises(ConfigError, match="install openssh-client"):
        check_program()


def test_a_change_of_either_file_is_noticed(tmp_path: Path) -> None:
    for name in ("allowed", "revoked"):
        (tmp_path / name).write_text("a\n")
    signers = Signers(tmp_path / "allowed", tmp_path / "revoked")
    stamps = {signers.stamp()}
    for name in ("allowed", "revoked"):
        (tmp_path / name).write_text("more\n")
        stamps.add(signers.stamp())
    assert len(stamps) == 3
