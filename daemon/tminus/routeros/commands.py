"""Every line that tminus sends to a router.

An exec request is one console line, parsed whole before anything of it runs; after a failing statement the rest does not
run. So a marker at its end, printed by the device, proves that the line was executed to there. Each marker is put
together by the device from two strings, so that an echo of our own line is never taken for it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from uuid import UUID

from tminus.routeros.facts import Version, parse_serial
from tminus.routeros.text import lines

_NONCE = re.compile(r"[0-9a-f]{16}")
_OUR_FILE = re.compile(r"(?:[^/]+/)?tminus-([0-9a-f]{16})(?:-export)?\.(?:rsc|txt)")
# For the router: it finds every line that imports a file of ours, and not the line that it stands in.
_ANY_SCRIPT = "tminus-[0-9a-f]+[.]rsc"


@dataclass(frozen=True, slots=True)
class Nonce:
    """Sixteen random hexadecimal digits that name one attempt: its file, its markers, its lines in the router's log.

    A script finds them out: it can list files and read the log. So what is to prove how it ended bears `proof` besides,
    sixteen more digits that stand nowhere but in the line that starts it.
    """

    value: str
    proof: str = ""

    def __post_init__(self) -> None:
        if not _NONCE.fullmatch(self.value):
            raise ValueError("a nonce is 16 hexadecimal digits")

    @classmethod
    def fresh(cls) -> Nonce:
        return cls(secrets.token_hex(8))

    @classmethod
    def of_run(cls, value: str, launch: UUID) -> Nonce:
        """Return that of a run. A launch's id is random, and no router is told it; so it is made anew by any instance."""
        return cls(value, hashlib.sha256(f"{launch}:{value}".encode()).hexdigest()[:16])

    @property
    def file(self) -> str:
        """The uploaded script."""
        return f"tminus-{self.value}.rsc"

    @property
    def export_file(self) -> str:
        """An export that did not arrive whole over the session."""
        return f"tminus-{self.value}-export.rsc"

    @property
    def output_file(self) -> str:
        """What a detached script printed, our markers included. RouterOS adds the `.txt` to the name that it is given."""
        return f"tminus-{self.value}.txt"

    @property
    def of_rehearsal(self) -> bool:
        """Whether its file is never started. tminus.claim_site_runs draws it so."""
        return self.value[0] == "0"

    def marker(self, kind: str) -> str:
        """Return the line that the device prints, for example TMINUS-END-0123456789abcdef; OK and ERR have the proof, too."""
        return f"TMINUS-{kind}-{self._named(kind)}"

    def _put(self, kind: str, more: str = "") -> str:
        return f':put ("TMINUS-{kind}-" . "{self._named(kind)}"{more})'

    def _named(self, kind: str) -> str:
        return f"{self.value}-{self.proof}" if self.proof and kind in ("OK", "ERR") else self.value

    def log_line(self, what: str) -> str:
        """Return a line of the router's log; `done` and `failed` have the proof, too."""
        return f"tminus {self.value} {what}" + (f" {self.proof}" if self.proof and what in ("done", "failed") else "")


def identify(nonce: Nonce, *, stamp: bool, jobs: bool = True, files: bool = True, resources: bool = False) -> str:
    """Ask for version, identity and uptime, and prove that commands run. `stamp` leaves a line in the router's log.

    What a router shows to everybody who logs in (/system note) may look like an answer, so it is marked where they begin.
    `jobs`, `files`: what may fail behind the marker: how many scripts of ours still run as jobs, and which files of ours lie
    there. A line is parsed whole, so on a router that has no such menu, or hides it from us, nothing of it runs.
    `resources`: how much space is free and how loaded the CPU is, which may fail too.
    """
    asked = (
        f"{nonce._put('ASKED')}; :put [/system resource get version]; :put [/system identity get name];"
        " :put [/system resource get uptime]; "
    )
    stamped = f':log info "{nonce.log_line("connected")}"; ' if stamp else ""
    line = f"{asked}{stamped}{nonce._put('ID')}"
    if jobs:
        line += "; " + nonce._put("BUSY", f' . "-" . [:len [/system script job find where script~"{_ANY_SCRIPT}"]]')
    if files:
        line += '; :foreach i in=[/file find where name~"tminus-"] do={ :put [/file get $i name] }'
    if resources:
        free = nonce._put("FREE", ' . "-" . [/system resource get free-hdd-space]')
        load = nonce._put("LOAD", ' . "-" . [/system resource get cpu-load]')
        line += f"; {free}; {load}"
    return line


def jobs_seen(nonce: Nonce, said: list[str]) -> int | None:
    """Read from the answer to `identify` how many scripts of ours run as jobs; None if the router did not say."""
    return _number_after(f"{nonce.marker('BUSY')}-", said)


def free_space_seen(nonce: Nonce, said: list[str]) -> int | None:
    """Read from the answer to `identify` how many bytes are free; None if the router did not say."""
    return _number_after(f"{nonce.marker('FREE')}-", said, digits=15)


def cpu_load_seen(nonce: Nonce, said: list[str]) -> int | None:
    """Read from the answer to `identify` the load of the CPU in percent; None if the router did not say."""
    return _number_after(f"{nonce.marker('LOAD')}-", [line.removesuffix("%") for line in said], digits=3)


def leftovers(nonce: Nonce, said: list[str]) -> tuple[Nonce, ...]:
    """Read from the answer to `identify` whose files lie on the router: those of other attempts than this one."""
    behind = said[said.index(nonce.marker("ID")) :] if nonce.marker("ID") in said else []
    found = {match[1] for line in behind if (match := _OUR_FILE.fullmatch(line))}
    return tuple(Nonce(value) for value in sorted(found - {nonce.value}))


def serial_number(nonce: Nonce) -> str:
    """A line of its own: on a CHR it fails. The answer is read by `listed_serial`."""
    return nonce._put("SERIAL", ' . "-" . [/system routerboard get serial-number]')


def listed_serial(nonce: Nonce, output: bytes) -> str | None:
    """Read the answer to `serial_number`; None if the router names none. What it shows to everybody is no matter."""
    mark = f"{nonce.marker('SERIAL')}-"
    told = next((line.removeprefix(mark) for line in lines(output) if line.startswith(mark)), "")
    return parse_serial(told)


def ask(nonce: Nonce, question: str) -> str:
    """Ask a question whose answer begins behind a marker, and is read by `asked`."""
    return f"{nonce._put('ASKED')}; {question}"


def asked(nonce: Nonce, output: bytes) -> bytes:
    """Return what of the answer to `ask` is that of the question."""
    return _behind(nonce.marker("ASKED"), output)


def export(nonce: Nonce, version: Version, *, sensitive: bool = False) -> str:
    """Export the configuration: without secrets, or with them, which needs the policy sensitive."""
    return f"/export{_flag(version, sensitive)}; {nonce._put('END')}"


def remove_and_export(nonce: Nonce, version: Version) -> str:
    """Remove our file, see whether it is gone, then export: one round trip instead of two."""
    return f"{remove(nonce)}; {export(nonce, version)}"


def export_to_file(nonce: Nonce, version: Version, *, sensitive: bool = False) -> str:
    """For an export that does not arrive whole: a file is fetched by SFTP, which no window cuts."""
    return f'/export{_flag(version, sensitive)} file="{nonce.export_file.removesuffix(".rsc")}"; {nonce._put("FILED")}'


def size_of(nonce: Nonce, name: str) -> str:
    """Ask for the size of a file; the answer is read by `listed_size`."""
    return nonce._put("SIZE", f' . "-" . [/file get [/file find name="{name}"] size]')


def listed_size(nonce: Nonce, said: list[str]) -> int | None:
    """Read the answer to `size_of`, in bytes; None if the router lists no such file."""
    return _number_after(f"{nonce.marker('SIZE')}-", said)


def fence(nonce: Nonce) -> str:
    """Remove the uploaded script, so that nothing can start it any more; the answer is that of `remove`."""
    return _remove(nonce, f'name="{nonce.file}"')


def remove(nonce: Nonce) -> str:
    """Remove our files of this attempt, and look for them again; `says_gone` reads the answer."""
    return _remove(nonce, f'name~"tminus-{nonce.value}"')


def _remove(nonce: Nonce, which: str) -> str:
    found = f"[/file find where {which}]"
    # One by one: what `remove` says to an empty list is not the same in every version, and would keep the rest from running.
    # Counted by a second loop, so that nothing more of the language is needed for what everything else hangs on.
    one_left, none_left = nonce._put("LEFT", ' . "-1"'), nonce._put("LEFT", ' . "-0"')
    kept = f":foreach i in={found} do={{ {one_left} }}"
    return f":foreach i in={found} do={{ /file remove $i }}; {kept}; {none_left}"


def says_gone(nonce: Nonce, said: list[str]) -> bool:
    """Read the answer to `remove`: that the second look came to its end, and found none."""
    return f"{nonce.marker('LEFT')}-0" in said and f"{nonce.marker('LEFT')}-1" not in said


def after_removal(nonce: Nonce, output: bytes) -> bytes:
    """Return what of the answer to `remove_and_export` is the export."""
    return _behind(f"{nonce.marker('LEFT')}-0", output)


def after_size(nonce: Nonce, output: bytes) -> bytes:
    """Return what of the answer to `check_file` is that of the dry run."""
    return _behind(f"{nonce.marker('SIZE')}-", output)


def _behind(mark: str, output: bytes) -> bytes:
    head, found, rest = output.partition(mark.encode())
    return rest.partition(b"\n")[2] if found else head


def without_markers(nonce: Nonce, text: str) -> str:
    """Return cleaned output without the lines that we had the device print."""
    kept = [line for line in text.split("\n") if not (line.startswith("TMINUS-") and nonce.value in line)]
    return "\n".join(kept).strip("\n")


def _dry_run(nonce: Nonce) -> str:
    """Since 7.16, with verbose only, and a bare flag. Finds syntax errors and unknown parameters; executes nothing."""
    return f'/import file-name="{nonce.file}" verbose=yes dry-run'


def check_file(nonce: Nonce, *, catch: bool, dry_run: bool) -> str:
    """Ask for the size of the uploaded script, for what it `catch`es, and for a dry run, in one round trip.

    Each fails where the one before it did: while the file is not listed, there is no dry run. `catch`: run what `start` uses,
    `:onerror`, around a marker; `has_caught` reads it. A line is parsed whole, so where one of them is not known, none runs.
    """
    parts = [_try_catching(nonce)] if catch else []
    parts.append(size_of(nonce, nonce.file))
    if dry_run:
        parts.append(_dry_run(nonce))
    return "; ".join(parts)


def harmless(nonce: Nonce) -> bytes:
    """Return a script that changes nothing; `has_run` tells whether it was run."""
    return nonce._put("RAN").encode() + b"\n"


def has_run(nonce: Nonce, said: list[str]) -> bool:
    """Read from the answer to `check_file` whether the router ran the `harmless` script, instead of looking at it."""
    return nonce.marker("RAN") in said


def _try_catching(nonce: Nonce) -> str:
    return f":onerror e in={{ {nonce._put('CATCH')} }} do={{ :put $e }}"


def has_caught(nonce: Nonce, said: list[str]) -> bool:
    """Read from the answer to `check_file` that the router knows `:onerror`."""
    return nonce.marker("CATCH") in said


def start(nonce: Nonce, *, catches: bool, stamp: bool) -> str:
    """The line that starts the script. Not verbose: the whole file is parsed before anything of it runs.

    `catches`: the router knows `:onerror`.
    """
    run = f'/import file-name="{nonce.file}"; {nonce._put("OK")}'
    if stamp:
        run += f'; :log info "{nonce.log_line("done")}"'
    if catches:
        caught = nonce._put("ERR", ' . " " . $e')
        if stamp:
            caught += f'; :log info "{nonce.log_line("failed")}"'
        # Without it the error would still be printed, but not told apart from what the script itself prints.
        run = f":onerror e in={{ {run} }} do={{ {caught} }}"
    if stamp:
        run = f':log info "{nonce.log_line("start")}"; {run}'
    return run


def start_detached(nonce: Nonce, *, catches: bool, stamp: bool) -> str:
    """The line that starts the script as a job, which outlives the session; its output goes to a file.

    It prints the job's id as soon as there is a job. What the job runs is the line that would run in the foreground.
    """
    inner = start(nonce, catches=catches, stamp=stamp).replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    file, told = nonce.output_file.removesuffix(".txt"), nonce._put("JOB", ' . " " . $j')
    return f':local j [:execute script="{inner}" file="{file}"]; {told}'


def job_started(nonce: Nonce, said: list[str]) -> str | None:
    """Read from the answer to `start_detached` the id of the job; None if it does not say that there is one."""
    mark = nonce.marker("JOB") + " "
    return next((line.removeprefix(mark) for line in said if line.startswith(mark)), None)


def evidence(nonce: Nonce, *, stamp: bool = False, look: bool = True, jobs: bool = True) -> str:
    """What is to be known of this attempt: the log, our jobs, version, uptime. After a lost connection, and of a job.

    `stamp` leaves a line in the log before it is read: whether a line can be read as soon as it is written is not recorded,
    and where this one is seen, those before it are. Without `jobs` for a router that does not show us its jobs; without
    `look` version and uptime alone, for one that does not show its log.

    With the lines of the log that tell of a reboot, in their order.
    """
    log = f'[/log find where message~"tminus {nonce.value}|^router .*rebooted"]'
    count = nonce._put("JOBS", f' . "-" . [:len {_jobs_of(nonce)}]')
    looked = f":foreach i in={log} do={{ :put [/log get $i message] }}; "
    if stamp:
        looked = f':do {{ :log info "{nonce.log_line("looked")}" }} on-error={{ :put "" }}; {looked}'
    if jobs:
        looked += f':do {{ {count} }} on-error={{ :put "" }}; '
    asked = f":put [/system resource get version]; :put [/system resource get uptime]; {nonce._put('LOG')}"
    return f"{looked}{asked}" if look else asked


def jobs_running(nonce: Nonce, said: list[str]) -> int | None:
    """Read from the answer to `evidence` how many jobs of this attempt run; None if the router did not say."""
    return _number_after(f"{nonce.marker('JOBS')}-", said)


def stop_jobs(nonce: Nonce) -> str:
    """Stop the jobs of this attempt, and look for them again; `stopped_jobs` reads the answer.

    One by one, as files are removed. The second look is a second later: when a job that is removed is gone is not recorded.
    """
    found, still_one = _jobs_of(nonce), nonce._put("RUNS", ' . "-1"')
    stop = f":foreach i in={found} do={{ /system script job remove $i; {nonce._put('STOPPED')} }}"
    look = f":foreach i in={found} do={{ {still_one} }}"
    none_runs = nonce._put("RUNS", ' . "-0"')
    return f"{stop}; :delay 1s; {look}; {none_runs}"


def stopped_jobs(nonce: Nonce, said: list[str]) -> int | None:
    """Read from the answer to `stop_jobs` how many were stopped; None if it does not say that none is left."""
    if f"{nonce.marker('RUNS')}-0" not in said or f"{nonce.marker('RUNS')}-1" in said:
        return None
    return said.count(nonce.marker("STOPPED"))


def _jobs_of(nonce: Nonce) -> str:
    """Find the jobs of this attempt: known by the name of the file, and by a pattern that does not find its own line."""
    return f'[/system script job find where script~"tminus-{nonce.value}[.]rsc"]'


def try_post_check(nonce: Nonce, number: int, check: str) -> str:
    """Have the router parse a post-check: a line is parsed whole, and nothing of the check is run.

    The check has to be one expression (routeros.post_checks), so that it cannot leave the block.
    """
    tried = nonce._put("PARSED", f' . "-{number}"')
    return f":if (false) do={{ :local tminus ({check}) }}; {tried}"


def is_post_check_read(nonce: Nonce, number: int, said: list[str]) -> bool:
    """Read the answer to `try_post_check`."""
    return f"{nonce.marker('PARSED')}-{number}" in said


def post_check(nonce: Nonce, number: int, check: str) -> str:
    """Evaluate a post-check: the device prints the type and the text of what it gave."""
    told = nonce._put("CHECK", f' . "-{number}-" . [:typeof $tminus] . "-" . [:tostr $tminus]')
    return f":local tminus ({check}); {told}"


def post_check_result(nonce: Nonce, number: int, said: list[str]) -> tuple[str, str] | None:
    """Read from the answer to `post_check` the type and the text of the value; None where there is none. True is bool, true."""
    mark = f"{nonce.marker('CHECK')}-{number}-"
    told = next((line.removeprefix(mark) for line in said if line.startswith(mark)), None)
    if told is None:
        return None
    kind, _, text = told.partition("-")
    return kind, text


def jobs() -> str:
    """What runs on the router now. For a person to read: whether a foreground import is listed is not known."""
    return "/system script job print"


def history() -> str:
    """The changes of the configuration that the router remembers (the 100 latest, documented), and by whom."""
    return "/system history print"


def _number_after(mark: str, said: list[str], *, digits: int = 11) -> int | None:
    number = next((line.removeprefix(mark) for line in said if line.startswith(mark)), "")
    return int(number) if number.isdecimal() and number.isascii() and len(number) <= digits else None


def _flag(version: Version, sensitive: bool) -> str:
    if version.exports_secrets:
        return "" if sensitive else " hide-sensitive"
    return " show-sensitive" if sensitive else ""
