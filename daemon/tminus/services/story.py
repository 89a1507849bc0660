"""How a launch is told in the log: the line at T-0, the line as each site ends, and the line at the end.

An operator rebuilds a launch from these alone: `launch_id` is in all of them, `site_id` in each that is of one site. What
needs a person is a warning and says in `todo` what to do. The measurements that belong to a line are taken with it.
"""

from __future__ import annotations

from uuid import UUID

import structlog

from tminus.domain.endings import Ending, LaunchKind, LaunchState, Reason, State
from tminus.services.observer import Observer
from tminus.store.launches import DueScript, EndedLaunch, EndingCount

log = structlog.get_logger()


def tell_launched(script: DueScript, launch: UUID, observer: Observer) -> None:
    """T-0."""
    observer.launched(len(script.sites))
    log.info(
        "launched",
        script_id=str(script.id),
        launch_id=str(launch),
        description=script.description,
        sites=len(script.sites),
        created_by=script.created_by,
        authorized_by=script.authorized_by,
        due_at=script.launch_at.isoformat(),
        late_seconds=round((script.now - script.launch_at).total_seconds(), 3),
    )


def tell_site_ended(ending: Ending, observer: Observer, *, seconds: float, counts: bool = True) -> None:
    """One site ended, `seconds` after this attempt began. Launch and site are bound by the caller.

    Of a rehearsal or a test nothing is counted (`counts`): a site that is not ready is no failure, and nobody is paged for it.
    """
    if counts:
        observer.site_ended(ending)
    facts = {
        "state": str(ending.state),
        "effect": str(ending.effect),
        "reason": str(ending.reason) if ending.reason else None,
        "message": ending.message,
        "warnings": list(ending.warnings),
        "seconds": round(seconds, 3),
    }
    if ending.state is State.UNKNOWN:
        log.warning(
            "site_ended",
            **facts,
            todo="whether the script was applied could not be proved: see 'tminus resolve', and look at this router",
        )
    else:
        log.info("site_ended", **facts)


def tell_launch_ended(launch: EndedLaunch, observer: Observer) -> None:
    """The end. Site runs that ended without having been run by a daemon are told here, a line for each kind."""
    if launch.kind is LaunchKind.REHEARSAL:
        _tell_rehearsal_ended(launch)
        return
    if launch.kind is not LaunchKind.TEST:
        observer.launch_ended(launch.state)
    with structlog.contextvars.bound_contextvars(script_id=str(launch.script_id), launch_id=str(launch.id)):
        for ending in launch.endings:
            if not ending.told:
                _tell_settled(ending, observer if launch.kind is not LaunchKind.TEST else None)
        facts = {
            "state": str(launch.state),
            "reason": launch.reason,
            "description": launch.description,
            "created_by": launch.created_by,
            "authorized_by": launch.authorized_by,
            "due_at": launch.due_at.isoformat(),
            "sites": launch.sites,
            "seconds": round(launch.took.total_seconds(), 3),
            **{
                str(state): _count(launch, state)
                for state in (State.COMPLETED, State.FAILED, State.SKIPPED, State.UNKNOWN)
            },
            "reasons": {
                str(ending.reason): _count_reason(launch, ending) for ending in launch.endings if ending.reason
            },
        }
        todo = _todo(launch)
        if todo is None:
            log.info("launch_ended", **facts)
        else:
            log.warning("launch_ended", **facts, todo=todo)


def _tell_rehearsal_ended(launch: EndedLaunch) -> None:
    ready = sum(ending.count for ending in launch.endings if ending.reason is Reason.REHEARSED)
    log.info(
        "rehearsal_ended",
        script_id=str(launch.script_id),
        launch_id=str(launch.id),
        state=str(launch.state),
        description=launch.description,
        created_by=launch.created_by,
        sites=launch.sites,
        ready=ready,
        reasons={str(ending.reason): _count_reason(launch, ending) for ending in launch.endings if ending.reason},
    )


def _tell_settled(ending: EndingCount, observer: Observer | None) -> None:
    if observer is not None:
        settled = Ending(state=ending.state, effect=ending.effect, reason=ending.reason, message="")
        observer.site_ended(settled, ending.count)
    log.info(
        "sites_not_run",
        state=str(ending.state),
        effect=str(ending.effect),
        reason=str(ending.reason) if ending.reason else None,
        count=ending.count,
        site_ids=list(ending.sites),
    )


def _count(launch: EndedLaunch, state: State) -> int:
    return sum(ending.count for ending in launch.endings if ending.state is state)


def _count_reason(launch: EndedLaunch, like: EndingCount) -> int:
    return sum(ending.count for ending in launch.endings if ending.reason is like.reason)


def _todo(launch: EndedLaunch) -> str | None:
    """Say what a person has to do about it; None if all went as wished."""
    if launch.state is LaunchState.MISSED:
        if launch.reason == "overlap":
            return "nothing was run: the previous launch was still running; see why it takes so long"
        return "nothing was run; insert it again with a new launch_at, and have it authorized in time"
    if launch.state is LaunchState.HALTED:
        return f"it was halted; see what went wrong: 'tminus status {launch.script_id}', then 'tminus retry', or submit something better"
    if _count(launch, State.UNKNOWN):
        return (
            f"find out what the unknown ones did: 'tminus resolve {launch.script_id} SITE'; 'tminus resolve' names them"
        )
    if launch.state is LaunchState.FINISHED and _count(launch, State.COMPLETED) < launch.sites:
        return f"see what the others say: 'tminus status {launch.script_id}'"
    return None
