"""Takes files of ours away that still lie on routers, where whoever put them there could not.

It must never remove anything but our own files, nor change a router on which a script runs. One exception: with their verdict on
a run that ended as unknown a person may ask that the job be stopped that still runs its script, that one and no other. It
fails by trying again.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from uuid import UUID

import structlog

from tminus.device.connection import Connection
from tminus.errors import ConfigError, DeviceError, StoreError
from tminus.kill_points import Point, reach
from tminus.routeros.commands import Nonce
from tminus.routeros.text import clean_line
from tminus.services.contact import Contact, remove_files, stop_jobs
from tminus.services.heartbeat import Trust
from tminus.services.loop import Hint, repeat
from tminus.services.observer import Observer
from tminus.services.whereabouts import Sought, find_again
from tminus.store import site_runs
from tminus.store.pool import Database
from tminus.store.site_runs import Debt, Site

_AT_ONCE = 5
_TELL_AFTER = timedelta(days=3)

log = structlog.get_logger()


class Cleanup:
    def __init__(
        self,
        db: Database,
        instance: UUID,
        trust: Trust,
        contact: Contact,
        *,
        poll_interval: float,
        command_timeout: float,
        observer: Observer,
    ) -> None:
        self._db = db
        self._instance = instance
        self._trust = trust
        self._contact = contact
        self._poll_interval = poll_interval
        self._command_timeout = command_timeout
        self._observer = observer
        self.hint = Hint()

    async def run(self) -> None:
        await repeat("cleanup", self._work, hint=self.hint, observer=self._observer)

    async def _work(self) -> float:
        if self._trust.lives():
            debts = await site_runs.take_debts(self._db, self._instance, limit=_AT_ONCE)
            async with asyncio.TaskGroup() as visits:
                for debt in debts:
                    visits.create_task(self._clean_up(debt))
        return self._poll_interval

    async def _reach(self, site: Site, nonce: Nonce) -> Connection:
        """Log in where it is, or where some script may have moved it since. Raises DeviceError, ConfigError."""
        sought = Sought(
            site=site, host_key=None, covered=site.part, nonce=nonce, serial=site.serial, may_have_moved=True
        )
        return await find_again(sought, self._contact, deadline=self._command_timeout)

    async def _clean_up(self, debt: Debt) -> None:
        """Remove one of our files from a router; before that, where a person asked for it, stop the job that runs it.

        The next try is already noted.
        """
        gone, why = False, "the router did not say that the file is gone"
        try:
            nonce = Nonce(debt.file_name.removeprefix("tminus-").removesuffix(".rsc"))
            async with await self._reach(debt.site, nonce) as connection:
                running = await self._stop_job(debt, nonce, connection) if debt.stop_job else None
                if running is None:
                    gone = await remove_files(connection, nonce, deadline=self._command_timeout)
                else:
                    why = running
        except (DeviceError, ConfigError, StoreError) as error:
            why = str(error)
        except Exception as error:
            # A bug of ours must not end the daemon, and with it what runs elsewhere.
            log.exception("cleanup_broke", site_id=debt.site.id, file=debt.file_name)
            why = f"the daemon met an error of its own: {error!r}"
        if gone:
            reach(Point.DEBT_PAID)
            with contextlib.suppress(StoreError):  # it is looked for again, and found to be gone
                await site_runs.settle_debt(self._db, debt.id)
            log.info("cleanup_done", site_id=debt.site.id, file=debt.file_name)
            return
        log.info("cleanup_put_off", site_id=debt.site.id, file=debt.file_name, attempts=debt.attempts, error=why)
        with contextlib.suppress(StoreError):  # it is in our log as well
            await site_runs.note_debt_error(self._db, debt.id, clean_line(why, cap=1000))
        if debt.age > _TELL_AFTER:
            log.error(
                "cleanup_owed",
                site_id=debt.site.id,
                file=debt.file_name,
                days=debt.age.days,
                stop_job=debt.stop_job,
                todo=_what_is_owed(debt),
            )

    async def _stop_job(self, debt: Debt, nonce: Nonce, connection: Connection) -> str | None:
        """Stop the job of this attempt; None once none runs it, else why that is not known. Raises DeviceError, StoreError."""
        stopping = await stop_jobs(connection, nonce, deadline=self._command_timeout)
        if stopping.stopped is None:
            return f"the router did not say that no job runs it any more{stopping.said and f': {stopping.said}'}"
        await site_runs.note_job_stopped(self._db, debt.id, self._instance, stopping.stopped)
        log.warning("job_stopped", site_id=debt.site.id, file=debt.file_name, jobs=stopping.stopped)
        return None


def _what_is_owed(debt: Debt) -> str:
    """Say what a person has to do. Whoever has a debt forgiven drops the request to stop the job, too."""
    forgive = f"tminus cleanup forgive {debt.id} --note NOTE"
    if debt.stop_job:
        return (
            "the script in this file perhaps still runs there, and its job is to be stopped: bring the router back, or remove the"
            " job on it that names this file (/system script job), then the file; both are then seen to be gone. Only if the"
            f" router is gone for good: {forgive}, which drops the request to stop the job"
        )
    return f"remove this file on the router; if the router is gone: {forgive}. It starts nothing by itself"
