"""scripts/install into an empty folder: what lies where, what systemd thinks of it, and that a second time changes nothing.

A checkout with fewer locked packages is installed: all of them take half a minute, and the installer knows none by name.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import clean_environment, skip_without

_CHECKOUT = Path(__file__).parents[2]
# What builds tminus, and what its command line needs to say its version.
_ENOUGH = {"hatchling", "editables", "packaging", "pathspec", "pluggy", "trove-classifiers", "tomlkit", "click"}
_needs_analyze = skip_without("systemd-analyze", unless="REQUIRE_SYSTEMD")


@dataclass(frozen=True)
class Answer:
    code: int
    err: str


@dataclass(frozen=True)
class Checkout:
    folder: Path

    def install(self, *arguments: str, **environment: str) -> Answer:
        """Run scripts/install; `environment` is added to ours."""
        done = subprocess.run(
            [self.folder / "scripts/install", *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=110,
            env=clean_environment() | {"PYTHON": str(self.folder / "python")} | environment,
            cwd="/",
        )
        assert done.stdout == ""
        return Answer(done.returncode, done.stderr)


def _base_python() -> str:
    """The Python of these tests, outside of their virtual environment."""
    return str(Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}"))


def copy_checkout(folder: Path) -> Checkout:
    """A checkout with a smaller lock, and a Python as Debian's without python3-venv: a third of the time to install."""
    for name in ("scripts", "systemd", "config", "daemon"):
        shutil.copytree(_CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(_CHECKOUT / name, folder / name)
    lock = folder / "scripts/requirements.txt"
    blocks = re.split(r"\n(?=\S)", lock.read_text())
    lock.write_text("\n".join(block for block in blocks if block.split("==")[0] in _ENOUGH) + "\n")
    project = folder / "pyproject.toml"
    # Not a wish of the installer's: without it pip would look for what the smaller lock leaves out.
    project.write_text(re.sub(r"^dependencies = \[.*?^\]", "dependencies = []", project.read_text(), flags=re.M | re.S))
    split = f'case "$*" in "-m venv --without-pip "*) ;; "-m venv "*) exit 1 ;; "-m pip "*) exec "{sys.executable}" "$@" ;; esac'
    if importlib.util.find_spec("pip") is None:
        split = ""
    python = folder / "python"
    python.write_text(f'#!/bin/sh\n{split}\nexec {_base_python()} "$@"\n')
    python.chmod(0o755)
    return Checkout(folder)


@dataclass(frozen=True)
class Installed:
    """A folder into which a checkout was installed, and what that said."""

    root: Path
    checkout: Checkout
    said: str

    @property
    def release(self) -> Path:
        return (self.root / "opt/tminus/current").resolve()

    def listing(self) -> dict[str, tuple[object, ...]]:
        """Everything below the root: kind and mode, time of change, and content."""
        found: dict[str, tuple[object, ...]] = {}
        for path in sorted(self.root.rglob("*")):
            info = path.lstat()
            content = (
                os.readlink(path)
                if path.is_symlink()
                else hashlib.sha256(path.read_bytes()).hexdigest()
                if path.is_file()
                else ""
            )
            found[str(path.relative_to(self.root))] = (info.st_mode, info.st_mtime_ns, info.st_ino, content)
        return found


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    folder = Path(tempfile.mkdtemp(prefix="tminus-install-", dir="/tmp"))
    try:
        root = folder / "a root"
        root.mkdir()
        checkout = copy_checkout(folder / "a checkout")
        answer = checkout.install("--root", str(root))
        assert answer.code == 0, answer.err
        yield Installed(root, checkout, answer.err)
    finally:
        shutil.rmtree(folder)


def test_everything_lies_where_the_documentation_says(installed: Installed) -> None:
    root = installed.root
    command = root / "usr/local/bin/tminus"
    assert "exec /opt/tminus/current/bin/tminus " in command.read_text()
    assert command.stat().st_mode & 0o777 == 0o755
    assert installed.release.parent == root / "opt/tminus/releases"
    assert stat.S_IMODE((root / "etc/tminus").stat().st_mode) == 0o750
    assert stat.S_IMODE((root / "etc/tminus/tminus.toml").stat().st_mode) == 0o640
    assert (root / "etc/tminus/tminus.toml").read_text() == (_CHECKOUT / "config/tminus.toml").read_text()
    for unit in ("tminus.service", "tminus-migrate.service", "tminus-api.service"):
        assert (root / "usr/local/lib/systemd/system" / unit).is_file()
    for kind in ("sysusers", "tmpfiles"):
        assert (root / f"usr/local/lib/{kind}.d/tminus.conf").is_file()
    assert {path.name for path in root.iterdir()} == {"opt", "etc", "usr"}


def test_the_program_runs_and_knows_nothing_of_the_folder_it_was_installed_from(installed: Installed) -> None:
    python = installed.root / "opt/tminus/current/bin/python"
    done = subprocess.run(
        [python, "-I", "-B", "-m", "tminus", "--version"], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.startswith("tminus, version ")
    scripts = [path for path in (installed.release / "bin").iterdir() if path.is_file() and not path.is_symlink()]
    assert (installed.release / "bin/tminus") in scripts
    for script in [*scripts, installed.release / "pyvenv.cfg"]:
        assert str(installed.root) not in script.read_text(), script
    assert f"/opt/tminus/releases/{installed.release.name}/bin/python" in (installed.release / "bin/tminus").read_text()
    package = next(installed.release.glob("lib/python3*/site-packages/tminus"))
    shipped = {
        str(path.relative_to(_CHECKOUT / "daemon/tminus")) for path in (_CHECKOUT / "daemon/tminus").rglob("*.sql")
    }
    assert shipped == {str(path.relative_to(package)) for path in package.rglob("*.sql")}
    assert (package / "routeros/language/names.txt").is_file()
    others = [
        path for path in installed.release.rglob("*") if not path.is_symlink() and not path.stat().st_mode & 0o004
    ]
    assert not others, "the daemon's user could not read these"


def test_the_command_takes_the_configuration_of_the_host_unless_another_is_named(
    installed: Installed, tmp_path: Path
) -> None:
    config = tmp_path / "tminus.toml"
    shown = tmp_path / "tminus"
    shown.write_text('#!/bin/sh\necho "${TMINUS_CONFIG-none} $*"\n')
    shown.chmod(0o755)
    text = (installed.root / "usr/local/bin/tminus").read_text()
    command = tmp_path / "command"
    command.write_text(
        text.replace("/etc/tminus/tminus.toml", str(config)).replace("/opt/tminus/current/bin/tminus", str(shown))
    )

    def says(**environment: str) -> str:
        ours = clean_environment() | environment
        return subprocess.run(["sh", command, "a b", "c"], capture_output=True, text=True, env=ours, check=True).stdout

    assert says() == "none a b c\n"
    config.touch()
    assert says() == f"{config} a b c\n"
    assert says(TMINUS_CONFIG="mine") == "mine a b c\n"
    assert says(TMINUS_DATABASE_URL="postgresql://db") == "none a b c\n"


def test_a_second_time_changes_nothing_and_says_nothing(installed: Installed) -> None:
    before = installed.listing()
    answer = installed.checkout.install("--root", str(installed.root))
    assert (answer.code, answer.err) == (0, "")
    assert installed.listing() == before


def test_an_upgrade_keeps_the_old_release_and_the_configuration_and_a_downgrade_switches_back(
    installed: Installed, tmp_path: Path
) -> None:
    old = installed.release
    config = installed.root / "etc/tminus/tminus.toml"
    mine = config.read_text() + "# mine\n"
    config.write_text(mine)
    newer = copy_checkout(tmp_path / "newer")
    for file, old_text, new_text in (
        ("pyproject.toml", 'version = "0.1.0"', 'version = "0.2.0"'),
        ("config/tminus.toml", "max_sessions = 200", "max_sessions = 201"),
        ("systemd/tminus.service", "RestartSec=5", "RestartSec=6"),
    ):
        path = newer.folder / file
        assert old_text in path.read_text()
        path.write_text(path.read_text().replace(old_text, new_text))
    running = {path: path.stat() for path in old.rglob("*") if path.is_file()}

    # Without its packages it is not installed, and the half of it is no obstacle for the next time.
    answer = newer.install("--root", str(installed.root), PIP_NO_INDEX="1", PIP_FIND_LINKS="", UV_OFFLINE="1")
    assert answer.code == 1
    assert "is the index reachable?" in answer.err
    assert installed.release == old

    answer = newer.install("--root", str(installed.root))
    assert answer.code == 0, answer.err
    assert installed.release.name.startswith("0.2.0-")
    assert old.name in answer.err, "which release is kept was not said"
    for path, info in running.items():
        assert path.stat() == info, f"{path} of the release that runs was changed"
    assert config.read_text() == mine
    assert "max_sessions = 201" in (config.parent / "tminus.toml.new").read_text()
    assert "RestartSec=6" in (installed.root / "usr/local/lib/systemd/system/tminus.service").read_text()

    answer = installed.checkout.install("--root", str(installed.root))
    assert answer.code == 0, answer.err
    assert installed.release == old
    assert "RestartSec=5" in (installed.root / "usr/local/lib/systemd/system/tminus.service").read_text()
    config.write_text((_CHECKOUT / "config/tminus.toml").read_text())
    assert installed.checkout.install("--root", str(installed.root)).code == 0
    assert not (config.parent / "tminus.toml.new").exists(), "it is no news any more"


@_needs_analyze
def test_systemd_finds_nothing_to_say_about_the_units(installed: Installed, tmp_path: Path) -> None:
    here = tmp_path / "root"
    here.symlink_to(installed.root)
    copies = []
    for unit in sorted((installed.root / "usr/local/lib/systemd/system").iterdir()):
        text = unit.read_text()
        assert "ExecStart=/opt/tminus/current/bin/tminus " in text
        copies.append(tmp_path / unit.name)
        copies[-1].write_text(text.replace("=/opt/tminus/", f"={here}/opt/tminus/"))
    assert [copy.name for copy in copies] == ["tminus-api.service", "tminus-migrate.service", "tminus.service"]
    # Its exit code is 0 even for an unknown key: what counts is that it says nothing.
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *copies], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@_needs_analyze
@pytest.mark.parametrize("unit", ["tminus.service", "tminus-migrate.service", "tminus-api.service"])
def test_the_units_give_little_to_who_breaks_in(installed: Installed, unit: str) -> None:
    file = installed.root / "usr/local/lib/systemd/system" / unit
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=15", str(file)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-300:] + done.stderr
    assert re.search(r"Overall exposure level for \S+: (1\.[0-5]|0\.\d) ", done.stdout)


def test_what_cannot_be_done_is_one_sentence(installed: Installed, tmp_path: Path) -> None:
    def refused(answer: Answer, *words: str) -> None:
        assert answer.code == 1
        assert re.fullmatch(r"tminus: [^\n]+\n", answer.err), answer.err
        for word in words:
            assert word in answer.err

    refused(installed.checkout.install("--root", str(tmp_path / "nowhere")), "nowhere", "make it first")
    refused(installed.checkout.install("--rot", "x"), "usage: scripts/install [--root DIR]")

    # Commands of a host that is short of something: everything but Python, then a Python that can do less.
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "dirname", "id", "mkdir", "flock", "sed", "grep", "sort", "find", "sha256sum", "cut", "rm"):
        (tools / name).symlink_to(str(shutil.which(name)))
    bare = {"PATH": str(tools), "HOME": str(tmp_path)}
    refused(
        installed.checkout.install("--root", str(tmp_path), **bare, PYTHON="no-python"),
        "Python 3.11 or newer is needed",
    )

    python = tools / "python3"
    python.write_text(f'#!/bin/sh\ncase "$*" in *venv* | *pip*) exit 1 ;; esac\nexec {_base_python()} "$@"\n')
    python.chmod(0o755)
    answer = installed.checkout.install("--root", str(tmp_path), **bare, PYTHON=str(python))
    assert "apt install python3-venv" in answer.err.splitlines()[-1]
    assert answer.code == 1
    assert not (tmp_path / "opt/tminus/current").exists()

    someone = tools / "id"
    someone.unlink()
    someone.write_text("#!/bin/sh\necho 1000\n")
    someone.chmod(0o755)
    refused(installed.checkout.install(**bare), "only root can install", "sudo scripts/install")
