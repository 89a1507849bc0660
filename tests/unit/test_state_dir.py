"""A folder for what a host remembers is one daemon's at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tminus.errors import ConfigError
from tminus.settings import Settings
from tminus.store.state_dir import alone_in


def test_a_second_daemon_is_refused_and_the_next_one_is_not(tmp_path: Path) -> None:
    with alone_in(tmp_path / "state"):
        with (
            pytest.raises(ConfigError, match=rf"another daemon \(process {os.getpid()}\) uses state_dir"),
            alone_in(tmp_path / "state"),
        ):
            pass
        with alone_in(tmp_path / "other"):
            pass
    with alone_in(tmp_path / "state"):
        pass


def test_what_is_signed_does_not_outlive_the_memory_of_what_is_spent() -> None:
    def settings(days: int, *, longest_launch: float = 86400.0) -> Settings:
        signed = {"require_signature": True, "allowed_signers": "signers", "longest_launch": longest_launch}
        return Settings(intents_days=days, authorization=signed)  # type: ignore[arg-type]

    for days in (0, 9, 400):
        settings(days)
    with pytest.raises(ValueError, match="intents_days must be at least 9"):
        settings(1)
    with pytest.raises(ValueError, match="intents_days must be at least 15"):
        settings(14, longest_launch=7 * 86400.0)
    Settings(intents_days=1)
