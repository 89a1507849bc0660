"""From TCP to the login: what is refused, and what it is called."""

from __future__ import annotations

import asyncio
import errno
import socket
from pathlib import Path

import asyncssh
import pytest
from asyncssh import kex_dh
from pydantic import SecretStr

from tests.device.servers import (
    BY_KEY,
    PATIENT,
    QUICK,
    Access,
    Wire,
    connector,
    key,
    router,
    target,
    tcp,
    text,
    until,
)
from tminus.device import problems
from tminus.device.connector import Connector
from tminus.device.credentials import Credential
from tminus.device.hostkeys import HostKeyPolicy
from tminus.device.profiles import SshProfile
from tminus.device.target import Limits
from tminus.errors import ConfigError, ConnectionLost, DeviceError, DeviceTimeout, HostKeyChanged, LoginRefused, Offline

BY_PASSWORD = Credential(name="pw", username="admin", password=SecretStr("right"))
WRONG_PASSWORD = Credential(name="pw", username="admin", password=SecretStr("wrong"))


async def _fails(connects: Connector, where: object, credential: Credential = BY_KEY) -> DeviceError:
    """Connect, which has to fail; return the exception."""
    with pytest.raises(DeviceError) as caught:
        await connects.connect(where, credential)
    assert caught.value.__cause__ is not None or isinstance(caught.value, HostKeyChanged | Offline | LoginRefused)
    assert "site_41 (127.0.0.1:" in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


# --- logging in


@pytest.mark.parametrize(("cipher", "expected"), [("aes128-gcm@openssh.com", 0), ("aes256-ctr", 0), ("aes128-cbc", 1)])
async def test_empty_packets_are_sent_for_cbc_alone(
    cipher: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    monkeypatch.setattr(
        asyncssh.SSHServerConnection, "log_received_packet", lambda _self, kind, *_args: heard.append(kind)
    )
    async with (
        router(encryption_algs=[cipher]) as far,
        await connector().connect(target(far.port, profile=SshProfile.LEGACY), BY_KEY) as near,
    ):
        assert (await near.run(":put ok", deadline=5, cap=100)).output == b"ok\r\n"
    assert (asyncssh.constants.MSG_IGNORE in heard) == bool(expected)


async def test_a_key_logs_in_and_a_command_runs() -> None:
    async with router() as far:
        async with await connector().connect(target(far.port), BY_KEY) as near:
            result = await near.run(":put ok", deadline=5, cap=1000)
            assert result.output == b"ok\r\n"
            assert near.host_key == text(key())
            assert not near.closed
        assert near.closed
        assert far.journal == ["login of admin", "key", "key", "command :put ok"]  # asked for, then signed


@pytest.mark.parametrize("access", [Access(password="right"), Access(interactive="right")])
async def test_a_password_logs_in_by_either_method(access: Access) -> None:
    async with router(access=access) as far, await connector().connect(target(far.port), BY_PASSWORD):
        assert far.journal[0] == "login of admin"
        assert "right" in far.journal[-1]


async def test_the_user_name_of_the_site_wins_over_the_credentials() -> None:
    async with router() as far, await connector().connect(target(far.port, username="tech"), BY_KEY):
        assert far.journal[0] == "login of tech"


@pytest.mark.parametrize("name", ["-c", "admin+t", "a b", ""])
async def test_a_user_name_that_routeros_misreads_is_not_sent(name: str) -> None:
    async with router() as far:
        with pytest.raises(ConfigError, match="site_41"):
            await connector().connect(target(far.port, username=name), BY_KEY)
        assert not far.connections


async def test_no_user_name_anywhere_is_an_error_that_names_both_places() -> None:
    nameless = Credential(name="ops", username=None, key=BY_KEY.key)
    with pytest.raises(ConfigError, match="set it on the site, or as username of credential 'ops'"):
        await connector().connect(target(1), nameless)


async def test_nothing_of_the_users_ssh_set_up_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh = tmp_path / ".ssh"
    ssh.mkdir()
    (ssh / "config").write_text("Host *\n  User evil\n  Port 1\n  ProxyCommand false\n  KexAlgorithms none\n")
    (ssh / "known_hosts").write_text(f"* {text(key(number=7))}\n")
    (ssh / "id_ed25519").write_bytes(key(number=8).export_private_key())
    (ssh / "ca-bundle.crt").write_text("no certificate")
    (ssh / "crt").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    async with router() as far:
        async with await connector().connect(target(far.port), BY_KEY):
            assert far.journal == ["login of admin", "key", "key"]
        error = await _fails(connector(), target(far.port), Credential(name="ops", username="u", key=key(number=9)))
        assert isinstance(error, LoginRefused)
        assert far.journal.count("key") == 3  # its own, and no other


async def test_one_rsa_key_logs_in_to_old_and_new_routers_at_the_same_time() -> None:
    # asyncssh notes in a key pair which signature a router wants: a pair shared by connections signs wrongly.
    pair = key("ssh-rsa")
    credential = Credential(name="rsa", username="admin", key=pair)
    access = Access(public_key=pair.convert_to_public())
    async with (
        router(access=access, signature_algs=["ssh-rsa"]) as old,
        router(access=access, signature_algs=["rsa-sha2-512"]) as new,
    ):
        connects = connector()
        connections = await asyncio.gather(
            *(connects.connect(target(far.port), credential) for _ in range(6) for far in (old, new))
        )
        for connection in connections:
            connection.abort()


# --- refused logins


@pytest.mark.parametrize(
    ("access", "credential", "tried"),
    [
        (Access(password="right"), WRONG_PASSWORD, ["password wrong"]),
        (Access(interactive="right"), WRONG_PASSWORD, ["interactive", "interactive ['wrong']"]),
        (Access(password="right", interactive="right"), WRONG_PASSWORD, ["password wrong"]),
        (Access(public_key=key(number=5), password="right"), BY_KEY, ["key"]),
    ],
)
async def test_a_refused_secret_is_tried_once(access: Access, credential: Credential, tried: list[str]) -> None:
    async with router(access=access) as far:
        error = await _fails(connector(), target(far.port), credential)
        assert isinstance(error, LoginRefused)
        assert f"'admin' with the {'key' if credential.key else 'password'} {credential.name!r}" in str(error)
        assert "wrong" not in str(error)
        assert far.journal == ["login of admin", *tried]
        assert len(far.connections) == 1


async def test_a_router_without_the_method_is_told_from_a_refused_secret() -> None:
    async with router(access=Access(public_key=key(number=1))) as far:
        error = await _fails(connector(), target(far.port), BY_PASSWORD)
        assert isinstance(error, LoginRefused)
        assert "offers no login with a password" in str(error)
        assert far.journal == ["login of admin"]


async def test_a_goodbye_after_the_secret_counts_as_a_refusal() -> None:
    async def say_goodbye(connection: asyncssh.SSHServerConnection) -> None:
        connection.disconnect(asyncssh.DISC_PROTOCOL_ERROR, "Too many \x1b[31mfailures")

    async with router(access=Access(password="right", on_password=say_goodbye)) as far:
        error = await _fails(connector(), target(far.port), WRONG_PASSWORD)
        assert isinstance(error, LoginRefused)
        assert "Too many ?[31mfailures" in str(error)


async def test_a_connection_that_breaks_during_the_login_is_lost_not_refused() -> None:
    async def drop(connection: asyncssh.SSHServerConnection) -> None:
        connection.abort()

    async with router(access=Access(password="right", on_password=drop)) as far:
        error = await _fails(connector(), target(far.port), BY_PASSWORD)
        assert isinstance(error, ConnectionLost)
        assert "during the login" in str(error)


async def test_a_login_that_gets_no_answer_times_out() -> None:
    async with router(access=Access(password="right", stall=True)) as far:
        error = await _fails(connector(QUICK), target(far.port), BY_PASSWORD)
        assert isinstance(error, DeviceTimeout)
        assert "did not answer the login of 'admin' within 0.4 s" in str(error)


# --- host keys


@pytest.mark.parametrize("presented", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa", "ssh-dss"])
@pytest.mark.parametrize("pinned", ["ssh-ed25519", "ecdsa-sha2-nistp384", "ssh-rsa", "ssh-dss"])
@pytest.mark.parametrize("profile", list(SshProfile))
async def test_a_changed_key_is_called_that_whatever_its_type_and_no_credential_is_used(
    pinned: str, presented: str, profile: SshProfile
) -> None:
    if pinned == presented == "ssh-dss" and profile is SshProfile.MODERN:
        pytest.skip("modern does not speak to a router whose key is DSA, changed or not")
    shown = key(presented, 3)
    async with router(host_keys=[shown]) as far:
        where = target(far.port, host_key=text(key(pinned, 4)), profile=profile)
        error = await _fails(connector(policy=HostKeyPolicy.ACCEPT_NEW), where)
        assert isinstance(error, HostKeyChanged)
        assert f"pinned is {pinned} {key(pinned, 4).get_fingerprint()}" in str(error)
        assert f"presented was {presented} {shown.get_fingerprint()}" in str(error)
        assert "not logged in" in str(error)
        assert "'tminus site pin site_41'" in str(error)
        assert far.journal == []


async def test_a_changed_key_that_can_only_sign_with_sha1_is_called_changed_too() -> None:
    (pair,) = asyncssh.load_keypairs([key("ssh-rsa", 3)])
    pair.host_key_algorithms = [b"ssh-rsa"]
    async with router(host_keys=[pair]) as far:
        error = await _fails(connector(), target(far.port))
        assert isinstance(error, HostKeyChanged)
        assert far.journal == []


async def test_without_a_pinned_key_the_policy_pinned_names_the_key_and_does_not_log_in() -> None:
    async with router() as far:
        error = await _fails(connector(), target(far.port, host_key=None))
        assert isinstance(error, HostKeyChanged)
        assert "no host key is pinned" in str(error)
        assert f"ssh-ed25519 {key().get_fingerprint()}" in str(error)
        assert "'tminus site pin site_41'" in str(error)
        assert far.journal == []


async def test_without_a_pinned_key_the_policy_accept_new_logs_in_and_tells_the_key() -> None:
    async with router() as far:
        connects = connector(policy=HostKeyPolicy.ACCEPT_NEW)
        async with await connects.connect(target(far.port, host_key=None), BY_KEY) as near:
            assert near.host_key == text(key())


async def test_a_pinned_key_that_cannot_be_read_is_not_ignored() -> None:
    async with router() as far:
        connects = connector(policy=HostKeyPolicy.ACCEPT_NEW)
        error = await _fails(connects, target(far.port, host_key="ssh-ed25519 AAAA"))
        assert isinstance(error, HostKeyChanged)
        assert "cannot be read" in str(error)
        assert not far.connections


async def test_a_router_with_several_keys_presents_the_pinned_one() -> None:
    async with router(host_keys=[key("ssh-rsa"), key("ecdsa-sha2-nistp256"), key()]) as far:
        connects = connector()
        kinds = ("ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519")
        # Side by side: what is prepared once must not be shared by connections that differ.
        connections = await asyncio.gather(
            *(connects.connect(target(far.port, host_key=text(key(kind))), BY_KEY) for kind in kinds)
        )
        assert [near.host_key for near in connections] == [text(key(kind)) for kind in kinds]
        for near in connections:
            near.abort()


class _Thief(asyncssh.SSHKeyPair):
    """Shows one public key and signs with another key."""

    def __init__(self, shown: asyncssh.SSHKey, owned: asyncssh.SSHKey) -> None:
        super().__init__(b"ssh-ed25519", b"ssh-ed25519", [b"ssh-ed25519"], [b"ssh-ed25519"], shown.public_data, None)
        self._owned = owned

    def sign(self, data: bytes) -> bytes:
        return self._owned.sign(data, b"ssh-ed25519")


@pytest.mark.parametrize("pinned", [True, False])
async def test_a_key_that_is_shown_but_not_owned_is_not_believed(pinned: bool) -> None:
    async with router(host_keys=[_Thief(key(), key(number=6))]) as far:
        connects = connector(policy=HostKeyPolicy.ACCEPT_NEW)
        where = target(far.port, host_key=text(key()) if pinned else None)
        error = await _fails(connects, where)
        assert isinstance(error, HostKeyChanged)
        assert "without proving to own it" in str(error)
        with pytest.raises(HostKeyChanged):
            await connects.fetch_host_key(where)
        assert far.journal == []


async def test_the_host_key_can_be_fetched_without_logging_in() -> None:
    async with router(host_keys=[key("ssh-rsa")]) as far:
        assert await connector().fetch_host_key(target(far.port)) == text(key("ssh-rsa"))
        await until(lambda: all(connection.is_closed() for connection in far.connections))
        assert far.login_requests == 0


async def test_a_key_that_changes_on_an_open_connection_ends_it_even_if_none_is_pinned() -> None:
    async def speak(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"x" * 10_000)
        process.exit(0)

    async with router(speak, rekey_bytes=20_000) as far:
        connects = connector(policy=HostKeyPolicy.ACCEPT_NEW)
        near = await connects.connect(target(far.port, host_key=None), BY_KEY)

        async def several() -> None:
            for _ in range(5):
                await near.run(":put ok", deadline=5, cap=20_000)

        await several()  # and several key exchanges with the same key
        (other,) = asyncssh.load_keypairs([key(number=9)])
        far.connections[0]._server_host_keys = {b"ssh-ed25519": other}
        with pytest.raises(ConnectionLost, match="Host key is not trusted"):
            await several()


# --- offline


async def test_a_closed_port_is_offline() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = await _fails(connector(), target(port))
    assert isinstance(error, Offline)
    assert str(error) == f"site_41 (127.0.0.1:{port}) is offline: Connection refused"


@pytest.mark.parametrize("address", ["a..b", "::1%no-such-interface"])
async def test_an_address_that_is_none_is_offline(address: str) -> None:
    with pytest.raises(Offline, match=r"is offline: its (address is no valid host name|name cannot be resolved)"):
        await connector().connect(target(22, address=address), BY_KEY)


async def test_no_answer_to_tcp_is_offline_after_the_connect_timeout() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        fillers = []
        for _ in range(3):  # the queue of the listener takes no more after these
            filler = socket.socket()
            filler.setblocking(False)
            assert filler.connect_ex(("127.0.0.1", port)) in (0, errno.EINPROGRESS)
            fillers.append(filler)
        try:
            error = await _fails(connector(QUICK), target(port))
        finally:
            for filler in fillers:
                filler.close()
    assert isinstance(error, Offline)
    assert "no answer to TCP within 0.4 s" in str(error)


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _drip_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"wait\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)  # the pace is the fault


async def _drip_bytes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"S")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _say_only_a_banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-ROSSSH\r\n")
    await reader.read()


@pytest.mark.parametrize(
    ("peer", "problem"),
    [
        (_say_nothing, "no SSH banner within 0.4 s"),
        (_drip_lines, "no SSH banner within 0.4 s"),
        (_drip_bytes, "no SSH banner within 0.4 s"),
        (_say_only_a_banner, "no end of the key exchange within 0.4 s"),
    ],
)
async def test_a_peer_that_stalls_before_the_login_is_offline_at_the_deadline(peer: object, problem: str) -> None:
    async with tcp(peer) as port:
        began = asyncio.get_running_loop().time()
        error = await _fails(connector(QUICK), target(port))
        assert asyncio.get_running_loop().time() - began < 1.5
        assert isinstance(error, Offline)
        assert problem in str(error)


@pytest.mark.parametrize(
    ("greeting", "problem"),
    [
        (b"", "closed the connection without an SSH banner"),
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", "closed the connection without an SSH banner"),
        (b"SSH-2.0-ROSSSH\r\n", "closed the connection during the key exchange; if it runs RouterOS 6"),
        (b"SSH-1.5-old\r\n", "no usable SSH server answers there (Unsupported SSH version)"),
        (b"SSH-2.0-\xff\r\n", "no usable SSH server answers there"),
        (b"x" * 100_000, "no usable SSH server answers there (Banner line too long)"),
        (b"x\r\n" * 100_000, "no usable SSH server answers there (Too many banner lines)"),
        (b"SSH-2.0-x\r\n" + b"\xff" * 100, "no usable SSH server answers there"),
    ],
)
async def test_what_is_no_ssh_server_is_offline(greeting: bytes, problem: str) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await writer.drain()
        writer.write_eof()
        await reader.read()

    async with tcp(greet) as port:
        error = await _fails(connector(), target(port))
        assert isinstance(error, Offline)
        assert problem in str(error)


async def test_a_malformed_key_exchange_is_offline() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-x\r\n" + b"\0\0\0\x0c\x0a\x14" + b"\0" * 10)  # a KEXINIT without anything in it
        await reader.read()

    async with tcp(greet) as port:
        error = await _fails(connector(), target(port))
        assert isinstance(error, Offline)
        assert "no usable SSH server answers there (PacketDecodeError: Incomplete packet)" in str(error)


async def test_a_cut_during_the_key_exchange_is_offline() -> None:
    async with router() as far, Wire.to(far.port) as wire:
        wire.freeze()
        connecting = asyncio.create_task(connector().connect(target(wire.port), BY_KEY))
        await until(lambda: len(far.connections) == 1)
        wire.reset()
        with pytest.raises(Offline, match="Connection reset by peer"):
            await connecting


# --- old routers

OLD = [
    {"kex_algs": ["diffie-hellman-group1-sha1"]},
    {"kex_algs": ["diffie-hellman-group-exchange-sha1"]},
    {"encryption_algs": ["aes128-cbc"]},
    {"encryption_algs": ["3des-cbc"]},
    {"encryption_algs": ["aes128-ctr"], "mac_algs": ["hmac-md5"]},
]


@pytest.mark.parametrize("algorithms", OLD, ids=lambda algorithms: "-".join(next(reversed(algorithms.values()))))
async def test_an_old_router_needs_the_legacy_profile_and_the_error_says_so(algorithms: dict[str, list[str]]) -> None:
    async with router(**algorithms) as far:
        error = await _fails(connector(), target(far.port))
        assert isinstance(error, Offline)
        assert "no SSH algorithm in common" in str(error)
        assert "set the site's ssh_profile to 'legacy'" in str(error)
        async with await connector().connect(target(far.port, profile=SshProfile.LEGACY), BY_KEY) as near:
            assert (await near.run(":put ok", deadline=5, cap=100)).output == b"ok\r\n"


@pytest.mark.parametrize("kind", ["ssh-rsa", "ssh-dss"])
async def test_a_host_key_that_signs_with_sha1_needs_the_legacy_profile(kind: str) -> None:
    (pair,) = asyncssh.load_keypairs([key(kind)])
    pair.host_key_algorithms = [kind.encode()]
    async with router(host_keys=[pair]) as far:
        error = await _fails(connector(), target(far.port, host_key=text(key(kind))))
        assert isinstance(error, Offline)
        assert "set the site's ssh_profile to 'legacy'" in str(error)
        where = target(far.port, host_key=text(key(kind)), profile=SshProfile.LEGACY)
        async with await connector().connect(where, BY_KEY) as near:
            assert near.host_key == text(key(kind))


async def test_without_anything_in_common_the_legacy_profile_gives_no_wrong_advice() -> None:
    async with router(encryption_algs=["cast128-cbc"]) as far:
        error = await _fails(connector(), target(far.port, profile=SshProfile.LEGACY))
        assert isinstance(error, Offline)
        assert "cast128-cbc" in str(error)
        assert "RouterOS 6" not in str(error)


@pytest.mark.parametrize(
    "exchange",
    [
        "diffie-hellman-group14-sha256",
        "diffie-hellman-group14-sha1",
        "diffie-hellman-group-exchange-sha256",
        "curve25519-sha256",
        "ecdh-sha2-nistp256",
    ],
)
async def test_the_modern_profile_speaks_every_key_exchange_of_routeros_7(exchange: str) -> None:
    async with router(kex_algs=[exchange]) as far, await connector().connect(target(far.port), BY_KEY) as near:
        assert (await near.run(":put ok", deadline=5, cap=100)).output == b"ok\r\n"


async def test_a_group_of_the_routers_own_is_not_proved_on_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL would: half a minute for 8,192 bits, before anything is known of who asks for it."""
    made: list[int] = []

    class Counted(kex_dh.DH):
        def __init__(self, g: int, p: int) -> None:
            made.append(g)
            super().__init__(g, p)

    monkeypatch.setattr(kex_dh, "DH", Counted)
    monkeypatch.setattr(kex_dh, "_dh_gex_groups", ((2048, 4, kex_dh._group14_p),))  # 4 is no generator that has a name
    async with (
        router(kex_algs=["diffie-hellman-group-exchange-sha256"]) as far,
        await connector().connect(target(far.port), BY_KEY) as near,
    ):
        assert (await near.run(":put ok", deadline=5, cap=100)).output == b"ok\r\n"
    assert made == [4], "by the server in this test, and by nobody else"


@pytest.mark.parametrize(
    "group", [(2048, 2, kex_dh._group1_p), (2048, 1, kex_dh._group14_p), (2048, 2, kex_dh._group14_p - 1)]
)
async def test_a_group_that_is_no_good_is_refused(monkeypatch: pytest.MonkeyPatch, group: tuple[int, int, int]) -> None:
    monkeypatch.setattr(kex_dh, "_dh_gex_groups", (group,))
    async with router(kex_algs=["diffie-hellman-group-exchange-sha256"]) as far:
        error = await _fails(connector(), target(far.port))
        assert isinstance(error, Offline)
        assert "is no good" in str(error)
        assert far.journal == []


async def test_the_cheapest_cipher_is_preferred() -> None:
    async with router() as far, await connector().connect(target(far.port), BY_KEY):
        assert far.connections[0].get_extra_info("recv_cipher") == "aes128-gcm@openssh.com"


# --- leaving nothing behind


def _tasks() -> set[asyncio.Task[object]]:
    return asyncio.all_tasks()


async def test_two_hundred_connections_and_as_many_failures_leave_no_task_and_no_timer() -> None:
    loop = asyncio.get_running_loop()
    async with router() as far, tcp(_say_nothing) as deaf:
        before = _tasks()
        connects = connector(Limits(connect_timeout=5, login_timeout=5))
        limit = asyncio.Semaphore(20)

        async def use(number: int) -> None:
            async with limit:
                connection = await connects.connect(target(far.port), BY_KEY)
                match number % 4:
                    case 0:
                        connection.abort()
                    case 1:
                        await connection.close()
                    case 2:
                        await connection.run(":put ok", deadline=5, cap=100)
                        connection.abort()
                    case _:
                        await connection.start(":put ok", deadline=5, cap=100)
                        connection.abort()

        async def give_up() -> None:
            impatient = connector(Limits(connect_timeout=0.05))
            with pytest.raises(Offline):
                await impatient.connect(target(deaf), BY_KEY)

        await asyncio.gather(*(use(number) for number in range(200)), *(give_up() for _ in range(20)))
        far.abort()
        await until(lambda: all(connection.is_closed() for connection in far.connections))
        await until(lambda: len(_tasks() - before) <= 20)  # the peers that say nothing are tasks of the test
    await until(lambda: _tasks() <= before)
    timers = [timer for timer in loop._scheduled if not timer.cancelled()]
    assert len(timers) <= 1  # pytest's own


async def test_a_cancelled_connect_drops_the_connection() -> None:
    async with router(access=Access(password="right", stall=True)) as far:
        connecting = asyncio.create_task(connector().connect(target(far.port), BY_PASSWORD))
        await until(lambda: far.journal == ["login of admin"])
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await until(far.connections[0].is_closed)


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        Limits(connect_timeout=0)
    with pytest.raises(ValueError, match="allow two"):
        Limits(keepalive_misses=1)
    assert PATIENT.silence == 45


def test_a_machine_without_a_user_name_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    with pytest.raises(ConfigError, match="LOGNAME"):
        connector()


def test_a_name_that_does_not_resolve_is_described() -> None:
    assert problems.describe(socket.gaierror(-2, "Name or service not known")) == (
        "its name cannot be resolved (Name or service not known)"
    )
