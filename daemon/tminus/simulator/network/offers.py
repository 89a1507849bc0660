"""What a router offers to SSH clients: algorithms and host keys, by its version."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import asyncssh

from tminus.simulator.router import Router

BANNER = "ROSSSH"  # gives "SSH-2.0-ROSSSH"
LOGIN_TIMEOUT_S = 60

_OLD_OFFER = {
    "kex_algs": ["diffie-hellman-group14-sha1"],
    "encryption_algs": ["aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-cbc"],
    "mac_algs": ["hmac-sha1"],
}
_NEW_OFFER = {
    "kex_algs": ["curve25519-sha256", "ecdh-sha2-nistp256", "diffie-hellman-group14-sha256"],
    "encryption_algs": ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr"],
    "mac_algs": ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"],
}
_STRICT_OFFER = {
    "kex_algs": ["diffie-hellman-group-exchange-sha256"],
    "encryption_algs": ["aes192-ctr", "aes256-ctr"],
    "mac_algs": ["hmac-sha2-256"],
}
"""What was left on 7.6 with ``strong-crypto=yes``, as far as it was seen."""


def options_for(
    router: Router, host_key: asyncssh.SSHKey, server_factory: Callable[[], asyncssh.SSHServer]
) -> asyncssh.SSHServerConnectionOptions:
    """Prepared once per router. A legacy router signs with ssh-rsa (SHA-1) and nothing else."""
    version = router.version
    offer = _OLD_OFFER if version.legacy else _NEW_OFFER if router.behaviour.offers_curves else _STRICT_OFFER
    options = asyncssh.SSHServerConnectionOptions(
        server_factory=server_factory,
        server_host_keys=[host_key],
        server_version=BANNER,
        encoding=None,
        allow_pty=True,
        line_editor=False,
        agent_forwarding=False,
        x11_forwarding=False,
        compression_algs=["none"],
        login_timeout=LOGIN_TIMEOUT_S,
        kex_algs=offer["kex_algs"],
        encryption_algs=offer["encryption_algs"],
        mac_algs=offer["mac_algs"],
    )
    if version.legacy:
        options.signature_algs = [b"ssh-rsa"]
        options.server_host_keys = OrderedDict({b"ssh-rsa": options.server_host_keys[b"ssh-rsa"]})
    return options
