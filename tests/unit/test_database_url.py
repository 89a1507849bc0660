"""A database_url that cannot be one is told where it is read, and never shown."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest

from tminus.database_url import why_no_database_url
from tminus.errors import ConfigError
from tminus.settings import load_settings

GOOD = [
    "postgresql://tminus_serve@db.example.net/tminus",
    "postgres://u:hunter2@db:5433/tminus?sslmode=require",
    "postgresql:///tminus",
    "postgresql://",
    "postgresql:///tminus?host=/run/postgresql&port=5432&user=tminus&password=a@b",
    "postgresql://u:a%2Fb%23c%40d%3Fe@db/tminus",
    "postgresql://u:a:b!$&'()*+,;=~^%zz@db/tminus",
    "postgresql://u:hunter2@[2001:db8::1]:5432/tminus",
    "postgresql://u@[fe80::1%eth0]/tminus",
    "postgresql://u:hunter2@first:5432,second:5433,third/tminus?target_session_attrs=primary",
    "postgresql://u@%2Frun%2Fpostgresql/tminus",
    "postgresql:///tminus?host=first,second&port=1,65535",
]
BAD = {
    "postgresql://tminus:hunter2/x@db/tminus": "'/' before its '@'|port is no number",
    "postgresql://tminus:12/hunter2@db/tminus": "'/' before its '@'",
    "postgresql://tminus:hunter2#x@db/tminus": "'#'",
    "postgresql://tminus:hunter2@x@db/tminus": "'@' more",
    "postgresql://tminus:hunter2?x@db/tminus": "port is no number",
    "postgresql://tminus:12?hunter2@db/tminus": "NAME=VALUE",
    "postgresql://tminus:hunter2[x@db/tminus": "host",
    "postgresql://tminus:hunter2 x@db/tminus": "blank",
    "postgresql://tminus:hunter2\tx@db/tminus": "blank",
    "postgresql://tminus:hunter2@db:notaport/tminus": "port is no number",
    "postgresql://tminus:hunter2@db:65536/tminus": "port is no number",
    "postgresql://tminus:hunter2@db:0/tminus": "port is no number",
    "postgresql://tminus:hunter2@first,,third/tminus": "host is none",
    "postgresql://tminus:hunter2@[::1/tminus": "host",
    "postgresql://tminus:hunter2@[hunter2]/tminus": "host",
    "postgresql://tminus:hunter2@bogus\u2100host/tminus": "host",
    "postgresql:///tminus?password=hunter2&port=notaport": "port",
    "postgresql:///tminus?password=hunter2&host=first,,third": "hosts is empty",
    "postgresql:///tminus?hunter2": "NAME=VALUE",
    "postgres:/bogus hunter2": "begin with postgresql://",
    "mysql://tminus:hunter2@db/tminus": "begin with postgresql://",
    "host=db user=tminus password=hunter2": "begin with postgresql://",
    "hunter2": "begin with postgresql://",
    "": "begin with postgresql://",
}


@pytest.mark.parametrize("url", GOOD)
def test_what_asyncpg_takes_as_it_is_meant_is_taken(url: str) -> None:
    assert why_no_database_url(url) is None


@pytest.mark.parametrize("url", BAD)
@pytest.mark.parametrize("setting", ["database_url", "api_database_url"])
def test_what_it_would_misread_or_show_is_refused_without_being_shown(
    setting: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in os.environ:
        if name.startswith("TMINUS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv(f"TMINUS_{setting.upper()}", url)
    with pytest.raises(ConfigError, match=BAD[url]) as caught:
        load_settings(None)
    told = "".join(traceback.format_exception(caught.value))
    assert f"'{setting}'" in str(caught.value)
    assert "no PostgreSQL URL" in str(caught.value)
    assert "hunter2" not in told
    assert not url or url not in told
