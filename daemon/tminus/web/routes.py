"""The table of the API: path, scope, what goes in, what comes out. Listener and OpenAPI document are both made from it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel

from tminus.web import launches, models, scripts, shapes, sites
from tminus.web.call import Answer, Call

Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPart:
    """A variable part of a path."""

    pattern: re.Pattern[str]
    read: Callable[[str], UUID | int | str]
    schema: Mapping[str, object]


_UUID = PathPart(
    pattern=re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    read=UUID,
    schema={"type": "string", "format": "uuid"},
)
PATH_PARTS: Mapping[str, PathPart] = {
    "script_id": _UUID,
    "launch_id": _UUID,
    "site_run_id": PathPart(
        pattern=re.compile(r"[1-9][0-9]{0,17}", re.ASCII),
        read=int,
        schema={"type": "integer", "minimum": 1, "maximum": 999999999999999999},
    ),
    "site_id": PathPart(
        pattern=re.compile(r"[^\x00-\x1f\x7f]{1,200}"),
        read=str,
        schema={"type": "string", "pattern": r"^[^\x00-\x1f\x7f]{1,200}$"},
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    method: str
    path: str
    scope: str
    summary: str
    handler: Handler
    returns: type[BaseModel] | None
    """None: plain text."""
    is_list: bool = False
    status: tuple[int, ...] = (200,)
    query: type[BaseModel] | None = None
    body: type[models.Body] | None = None
    versioned: bool = False
    """Answers with an ETag; a PUT takes If-Match."""

    @property
    def path_parts(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)


_SCRIPTS = "/scripts/scheduled"
_SCRIPT = f"{_SCRIPTS}/{{script_id}}"
_SITE_RUN = "/site-runs/{site_run_id}"
_VIEW = "script:view"

ROUTES: tuple[Route, ...] = (
    Route(method="GET", path=_SCRIPTS, scope=_VIEW, summary="List scheduled scripts, newest first",
          handler=scripts.list_scripts, returns=shapes.ScheduledScript, is_list=True, query=models.ScriptPage),
    Route(method="POST", path=_SCRIPTS, scope="script:create", summary="Schedule a script",
          handler=scripts.create_script, returns=shapes.ScheduledScript, status=(200, 201), body=models.NewScript, versioned=True),
    Route(method="GET", path=_SCRIPT, scope=_VIEW, summary="Show a scheduled script",
          handler=scripts.show_script, returns=shapes.ScheduledScript, versioned=True),
    Route(method="PUT", path=_SCRIPT, scope="script:update", summary="Change a scheduled script, which then has to be authorized again",
          handler=scripts.change_script, returns=shapes.ScheduledScript, body=models.ScriptChange, versioned=True),
    Route(method="DELETE", path=_SCRIPT, scope="script:delete", summary="Cancel a scheduled script",
          handler=scripts.cancel_script, returns=shapes.ScheduledScript, versioned=True),
    Route(method="GET", path=f"{_SCRIPT}/progress", scope=_VIEW, summary="Show which sites have completed, failed, or are pending",
          handler=scripts.show_progress, returns=shapes.Progress),
    Route(method="GET", path=f"{_SCRIPT}/review", scope=_VIEW, summary="Show what would be authorized, with its digest",
          handler=scripts.review_script, returns=shapes.Review),
    Route(method="POST", path=f"{_SCRIPT}/authorize", scope="script:authorize", summary="Authorize what has this digest",
          handler=scripts.authorize_script, returns=shapes.ScheduledScript, body=models.Authorization, versioned=True),
    Route(method="POST", path=f"{_SCRIPT}/request-authorization", scope="script:update", summary="Ask for an authorization",
          handler=scripts.request_authorization, returns=shapes.ScheduledScript, versioned=True),
    Route(method="POST", path=f"{_SCRIPT}/withdraw", scope="script:authorize", summary="Take an authorization back",
          handler=scripts.withdraw_authorization, returns=shapes.ScheduledScript, body=models.Withdrawal, versioned=True),
    Route(method="POST", path=f"{_SCRIPT}/pause", scope="script:run", summary="Hold the launch that is under way",
          handler=scripts.pause_script, returns=shapes.ScheduledScript, body=models.Pause, versioned=True),
    Route(method="POST", path=f"{_SCRIPT}/resume", scope="script:run", summary="Let a held launch go on",
          handler=scripts.resume_script, returns=shapes.ScheduledScript, versioned=True),
    Route(method="POST", path=f"{_SCRIPT}/retry", scope="script:run", summary="Launch it again where that is safe",
          handler=scripts.retry_script, returns=shapes.Launch, status=(202,), body=models.Retry),
    Route(method="POST", path=f"{_SCRIPT}/rehearse", scope="script:run", summary="Do all but run the script, on all sites, now",
          handler=scripts.rehearse_script, returns=shapes.Launch, status=(202,)),
    Route(method="GET", path=f"{_SCRIPT}/launches", scope=_VIEW, summary="List the launches of a scheduled script, latest first",
          handler=launches.list_launches, returns=shapes.Launch, is_list=True, query=models.Page),
    Route(method="GET", path="/launches/{launch_id}", scope=_VIEW, summary="Show a launch",
          handler=launches.show_launch, returns=shapes.Launch),
    Route(method="GET", path="/launches/{launch_id}/site-runs", scope=_VIEW, summary="List the site runs of a launch",
          handler=launches.list_site_runs, returns=shapes.SiteRun, is_list=True, query=models.SiteRunPage),
    Route(method="GET", path=_SITE_RUN, scope=_VIEW, summary="Show a site run",
          handler=launches.show_site_run, returns=shapes.SiteRun),
    Route(method="GET", path=f"{_SITE_RUN}/output", scope=_VIEW, summary="What the script printed",
          handler=launches.show_output, returns=None),
    Route(method="GET", path=f"{_SITE_RUN}/diff", scope=_VIEW, summary="The difference of the exports from before and after",
          handler=launches.show_diff, returns=None),
    Route(method="GET", path=f"{_SITE_RUN}/backup", scope=_VIEW, summary="A stored export",
          handler=launches.show_backup, returns=None, query=models.BackupQuery),
    Route(method="GET", path="/sites", scope=_VIEW, summary="List sites by id",
          handler=sites.list_sites, returns=shapes.Site, is_list=True, query=models.SitePage),
    Route(method="POST", path="/sites", scope="site:update", summary="Add a site",
          handler=sites.create_site, returns=shapes.Site, status=(201,), body=models.NewSite),
    Route(method="GET", path="/sites/{site_id}", scope=_VIEW, summary="Show a site",
          handler=sites.show_site, returns=shapes.Site),
    Route(method="PUT", path="/sites/{site_id}", scope="site:update", summary="Change a site, or add it",
          handler=sites.put_site, returns=shapes.Site, status=(200, 201), body=models.SiteChange),
    Route(method="GET", path="/events", scope=_VIEW, summary="List the audit trail, newest first",
          handler=launches.list_events, returns=shapes.Event, is_list=True, query=models.EventPage),
)  # fmt: skip
