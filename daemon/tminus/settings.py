"""The configuration: a TOML file, overridden by the environment (TMINUS_<NAME>), checked before anything starts."""

from __future__ import annotations

import difflib
import math
import os
import socket
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from tminus.channels.security import Security
from tminus.database_url import why_no_database_url
from tminus.device.hostkeys import HostKeyPolicy
from tminus.errors import ConfigError


def _default_state_dir() -> Path:
    if os.environ.get("STATE_DIRECTORY"):  # systemd
        return Path(os.environ["STATE_DIRECTORY"].split(":")[0])
    if os.geteuid() == 0:
        return Path("/var/lib/tminus")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "tminus"


Seconds = Annotated[float, Field(gt=0, le=604800, allow_inf_nan=False)]
Bounded = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
_NAME = r"^[^\x00-\x1f\x7f]{1,200}$"
_PREFIX = "TMINUS_"
# Environment variables that begin like settings and are none.
_NOT_SETTINGS = {"TMINUS_CONFIG"}


class CredentialSettings(BaseModel):
    """How to log in to the sites that name this credential. The secret stays in a file of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: str | None = None
    private_key_file: Path | None = None
    password_file: Path | None = None


class JumpHostSettings(BaseModel):
    """How to reach the sites that name this jump host."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str = Field(pattern=r"^[A-Za-z0-9:_][A-Za-z0-9._:%-]{0,252}$")
    port: int = Field(default=22, ge=1, le=65535)
    host_keys: tuple[str, ...] = Field(min_length=1)
    username: str | None = None
    # One of [credentials], or a secret of its own.
    credential: str | None = None
    private_key_file: Path | None = None
    password_file: Path | None = None
    max_sites: int = Field(default=50, ge=1, le=10000)
    idle_timeout: Bounded = 60.0


class AuthorizationSettings(BaseModel):
    """What an authorization has to be for this daemon to act on it, whatever the database says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    require_signature: bool = False
    allowed_signers: Path | None = None
    revoked_keys: Path | None = None
    # As tminus.policy.approval, but of this host.
    approval: Literal["distinct", "off"] = "distinct"
    longest_launch: Seconds = 86400.0

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.require_signature and self.allowed_signers is None:
            raise ValueError("require_signature needs allowed_signers, the file that says whose signatures count")
        return self


class WebhookSettings(BaseModel):
    """An endpoint that contacts may name. The secret stays in a file of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr
    secret_file: Path


class Settings(BaseSettings):
    """All settings; config/tminus.toml explains each to an operator."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    # Where the truth is. Without a URL the daemon runs a PostgreSQL of its own in the state directory.
    database_url: SecretStr | None = None
    state_dir: Path = Field(default_factory=_default_state_dir)
    embedded_user: str | None = None
    embedded_socket_group: str | None = None

    # Who this process is to sites that name a runner.
    instance_name: str = Field(default_factory=socket.gethostname, pattern=_NAME)
    runner_tags: tuple[Annotated[str, Field(pattern=_NAME)], ...] = ()
    # On which sites this process runs what nobody has authorized, where the database allows it there too.
    test_sites: tuple[str, ...] = ()
    http_listen: str = "127.0.0.1:9468"
    log_level: str = "info"
    log_format: str = Field(default="auto", pattern="^(auto|json|console)$")

    # The HTTP API. See web/.
    api_listen: str = "127.0.0.1:9469"
    api_database_url: SecretStr | None = None
    api_public_url: str | None = Field(default=None, pattern=r"^https?://[^\s<>\"]+$")
    api_issuer: str = Field(default="tminus", min_length=1)
    api_audience: str = Field(default="tminus", min_length=1)
    api_secret_file: Path | None = None
    api_jwks_file: Path | None = None
    api_jwks_url: str | None = None
    api_requests_per_minute: int = Field(default=600, ge=1, le=1000000)
    api_body_limit: int = Field(default=8 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    board: bool = True
    api_connections: int = Field(default=8, ge=1, le=100)

    # How much at once, and how often to look.
    max_sessions: int = Field(default=200, ge=1, le=20000)
    max_refused_logins: int = Field(default=5, ge=0, le=1000)
    poll_interval: float = Field(default=2.0, ge=0.05, le=10)
    drain_timeout: Seconds = 660.0

    # Who lives. See services/heartbeat.py.
    heartbeat_interval: float = Field(default=15.0, ge=0.2, le=60)
    heartbeat_ttl: float = Field(default=60.0, ge=1, le=600)
    heartbeat_margin: float = Field(default=10.0, gt=0, le=300)
    reap_interval: float = Field(default=10.0, ge=0.2, le=60)

    # Whether the database is believed.
    authorization: AuthorizationSettings = Field(default_factory=AuthorizationSettings)

    # On the router.
    credentials: dict[str, CredentialSettings] = Field(default_factory=dict)
    jump_hosts: dict[str, JumpHostSettings] = Field(default_factory=dict)
    host_key_policy: HostKeyPolicy = HostKeyPolicy.PINNED
    stamp_log: bool = True
    connect_timeout: Bounded = 6.0
    login_timeout: Bounded = 20.0
    command_timeout: Bounded = 60.0
    export_timeout: Bounded = 300.0
    resolve_within: Bounded = 300.0
    export_cap: int = Field(default=8 * 1024 * 1024, ge=65536, le=256 * 1024 * 1024)
    output_cap: int = Field(default=64 * 1024, ge=1024, le=1024 * 1024)
    # Whether secrets of routers may be in the database: of sites with sensitive_export, and only there.
    allow_sensitive_exports: bool = False

    # For how long is kept what nobody needs for running launches; 0 days is for ever. See services/retention.py.
    backups_per_site: int = Field(default=20, ge=1, le=10000)
    backups_days: int = Field(default=400, ge=0, le=36500)
    outputs_days: int = Field(default=400, ge=0, le=36500)
    events_days: int = Field(default=1100, ge=0, le=36500)
    intents_days: int = Field(default=400, ge=0, le=36500)

    # Telling people. See services/notifier.py.
    mail_server: str | None = Field(default=None, pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,252})$")
    mail_port: int = Field(default=587, ge=1, le=65535)
    mail_security: Security = Security.STARTTLS
    mail_username: str | None = None
    mail_password_file: Path | None = None
    mail_sender: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$"
    )
    mail_domains: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$")], ...] = ()
    webhooks: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")], WebhookSettings] = Field(
        default_factory=dict
    )
    review_url: str | None = Field(default=None, pattern=r"^https?://[!-~]{1,500}$")
    tell_before: float = Field(default=900.0, ge=0, le=604800, allow_inf_nan=False)
    tell_within: Seconds = 86400.0

    @field_validator("http_listen", "api_listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError("give HOST:PORT, such as 127.0.0.1:9468")
        return value

    @field_validator("database_url", "api_database_url")
    @classmethod
    def _of_a_database(cls, value: SecretStr | None) -> SecretStr | None:
        why = None if value is None else why_no_database_url(value.get_secret_value())
        if why is not None:
            raise ValueError(f"this is no PostgreSQL URL: {why}")
        return value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.lower() not in ("debug", "info", "warning", "error"):
            raise ValueError("give debug, info, warning or error")
        return value.lower()

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.heartbeat_ttl < 4 * self.heartbeat_interval:
            raise ValueError(
                "heartbeat_ttl must be at least 4 times heartbeat_interval, or a hiccup is taken for a death"
            )
        if self.heartbeat_margin >= self.heartbeat_ttl / 2:
            raise ValueError("heartbeat_margin must be less than half of heartbeat_ttl")
        if self.reap_interval > self.heartbeat_ttl:
            raise ValueError(
                "reap_interval must not exceed heartbeat_ttl, or what a dead daemon left waits for the look and not for the proof"
            )
        remembered, signed = 86400.0 * self.intents_days, self.authorization.longest_launch + 8 * 86400.0
        if self.authorization.require_signature and self.intents_days and remembered < signed:
            raise ValueError(
                f"intents_days must be at least {math.ceil(signed / 86400)} (or 0, for ever) with require_signature: a signature"
                " counts for a week (start_within) and longest_launch, and is spent for as long as this host remembers it"
            )
        if self.mail_server is not None and self.mail_sender is None:
            raise ValueError("mail_server needs mail_sender, the address that the letters come from")
        if (self.mail_username is None) != (self.mail_password_file is None):
            raise ValueError("mail_username and mail_password_file belong together")
        if self.mail_username is not None and self.mail_security is Security.NONE:
            raise ValueError("mail_password_file is not sent over a connection without mail_security")
        return self

    @property
    def runners(self) -> frozenset[str]:
        """What a site may name as its runner, to be served by this process."""
        return frozenset({self.instance_name, *self.runner_tags})

    @property
    def remembered(self) -> timedelta | None:
        """For how long this host knows what it started, and what it took of what was signed; None: for ever."""
        return timedelta(days=self.intents_days) if self.intents_days else None

    @property
    def listen_address(self) -> tuple[str, int]:
        return _address(self.http_listen)

    @property
    def api_address(self) -> tuple[str, int]:
        return _address(self.api_listen)


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def config_file(given: Path | None) -> Path | None:
    """Return the configuration file: the given one, else that of TMINUS_CONFIG, else none."""
    if given is None and os.environ.get("TMINUS_CONFIG"):
        return Path(os.environ["TMINUS_CONFIG"])
    return given


def load_settings(file: Path | None) -> Settings:
    """Read the settings of config_file(file). Raises ConfigError in one sentence."""
    file = config_file(file)
    try:
        if file is not None and not file.is_file():
            raise ConfigError(f"there is no configuration file {file}")
    except PermissionError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error

    class FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)

    try:
        _check_environment()
        return FromFile()
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ConfigError(_explain(error, file)) from None


def credentials_base(file: Path | None) -> Path:
    """Return the folder to which relative file names of credentials belong."""
    file = config_file(file)
    return file.resolve().parent if file else Path.cwd()


def _check_environment() -> None:
    for variable in os.environ:
        if variable.startswith(_PREFIX) and variable not in _NOT_SETTINGS:
            name = variable[len(_PREFIX) :].split("__")[0].lower()
            if name not in Settings.model_fields:
                raise ConfigError(f"the environment variable {variable} is no setting{_did_you_mean(name)}")


def _explain(error: ValidationError, file: Path | None) -> str:
    """Say the first problem only, and never show the value: it may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    source = f" (in {file} or the environment)" if file else " (in the environment)"
    if first["type"] == "extra_forbidden":
        return f"there is no setting {where!r}{source}{_did_you_mean(where)}"
    message = first["msg"].removeprefix("Value error, ")
    return f"setting {where!r}{source}: {message}" if where else f"{message}{source}"


def _did_you_mean(name: str) -> str:
    near = difflib.get_close_matches(
        name.rsplit(".", maxsplit=1)[-1],
        [
            *Settings.model_fields,
            *AuthorizationSettings.model_fields,
            *CredentialSettings.model_fields,
            *JumpHostSettings.model_fields,
            *WebhookSettings.model_fields,
        ],
        1,
    )
    return f"; did you mean {near[0]!r}?" if near else ""
