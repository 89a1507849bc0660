"""The table of the API: path, scope, what goes in, what comes out. Listener and OpenAPI document are both made from it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel

from tminus.web import contacts, fleet, fleet_models, launches, models, scripts, shapes, sites, statements
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
_NUMBER = PathPart(
    pattern=re.compile(r"[1-9][0-9]{0,17}", re.ASCII),
    read=int,
    schema={"type": "integer", "minimum": 1, "maximum": 999999999999999999},
)
_NAME = PathPart(
    pattern=re.compile(r"[^\x00-\x1f\x7f]{1,200}"),
    read=str,
    schema={"type": "string", "pattern": r"^[^\x00-\x1f\x7f]{1,200}$"},
)
PATH_PARTS: Mapping[str, PathPart] = {
    "script_id": _UUID,
    "launch_id": _UUID,
    "site_run_id": _NUMBER,
    "freeze_id": _NUMBER,
    "contact_id": _NUMBER,
    "site_id": _NAME,
    "window": _NAME,
    "tag": _NAME,
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
    def body_is_needed(self) -> bool:
        """Whether a request without a body says too little. A PUT always says what it is to be."""
        return self.body is not None and (
            self.method != "POST" or any(field.is_required() for field in self.body.model_fields.values())
        )

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
    Route(method="POST", path=f"{_SCRIPT}/statement", scope=_VIEW, summary="Show the text that is signed for an act",
          handler=statements.make_statement, returns=shapes.Statement, body=models.StatementOf),
    Route(method="POST", path=f"{_SCRIPT}/pause", scope="script:run", summary="Hold the launch that is under way",
          handler=scripts.pause_script, returns=shapes.ScheduledScript, body=models.Pause, versioned=True),
    Route(method="POST", path=f"{_SCRIPT}/resume", scope="script:run", summary="Let a held launch go on",
          handler=scripts.resume_script, returns=shapes.ScheduledScript, body=models.Resumption, versioned=True),
    Route(method="POST", path=f"{_SCRIPT}/retry", scope="script:run", summary="Launch it again where that is safe",
          handler=scripts.retry_script, returns=shapes.Launch, status=(202,), body=models.Retry),
    Route(method="POST", path=f"{_SCRIPT}/run", scope="script:run", summary="Have it start now, and not at its time",
          handler=scripts.run_script, returns=shapes.ScheduledScript, body=models.RunNow, versioned=True),
    Route(method="POST", path=f"{_SCRIPT}/test", scope="script:run", summary="Run it on its test site, before it is authorized",
          handler=scripts.test_script, returns=shapes.Launch, status=(202,), body=models.TestRun),
    Route(method="POST", path=f"{_SCRIPT}/rehearse", scope="script:run", summary="Do all but run the script, on all sites, now",
          handler=scripts.rehearse_script, returns=shapes.Launch, status=(202,)),
    Route(method="POST", path=f"{_SCRIPT}/confirm-wave", scope="script:run", summary="Let the next wave of a launch go",
          handler=scripts.confirm_wave, returns=shapes.ScheduledScript, body=fleet_models.WaveBody, versioned=True),
    Route(method="POST", path=f"{_SCRIPT}/resolve-sites", scope="script:update", summary="Find the sites that its site_query means now",
          handler=scripts.resolve_sites, returns=shapes.ScheduledScript, versioned=True),
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
    Route(method="POST", path=f"{_SITE_RUN}/resolve", scope="script:run", summary="Say what an unknown site run did",
          handler=launches.resolve_site_run, returns=shapes.SiteRun, body=fleet_models.Verdict),
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
    Route(method="GET", path="/upcoming", scope=_VIEW, summary="List the launches that are to come, the next one first",
          handler=fleet.list_upcoming, returns=shapes.Upcoming, is_list=True, query=fleet_models.UpcomingQuery),
    Route(method="GET", path="/freezes", scope=_VIEW, summary="List the freezes that are in force",
          handler=fleet.list_freezes, returns=shapes.Freeze, is_list=True),
    Route(method="POST", path="/freezes", scope="site:freeze", summary="Stop all new starts for a time",
          handler=fleet.freeze, returns=shapes.Freeze, status=(201,), body=fleet_models.NewFreeze),
    Route(method="POST", path="/freezes/{freeze_id}/thaw", scope="site:freeze", summary="End a freeze before its time",
          handler=fleet.thaw, returns=shapes.Freeze, is_list=True, body=fleet_models.Thaw),
    Route(method="GET", path="/windows", scope=_VIEW, summary="List windows, those that are open or open next first",
          handler=fleet.list_windows, returns=shapes.Window, is_list=True),
    Route(method="GET", path="/windows/{window}", scope=_VIEW, summary="Show a window",
          handler=fleet.show_window, returns=shapes.Window),
    Route(method="PUT", path="/windows/{window}", scope="site:update", summary="Make a window, or replace its rules",
          handler=fleet.put_window, returns=shapes.Window, status=(200, 201), body=fleet_models.WindowBody),
    Route(method="DELETE", path="/windows/{window}", scope="site:update", summary="Remove a window",
          handler=fleet.remove_window, returns=shapes.Window),
    Route(method="GET", path="/tag-caps", scope=_VIEW, summary="List the caps on tags",
          handler=fleet.list_caps, returns=shapes.TagCap, is_list=True),
    Route(method="PUT", path="/tag-caps/{tag}", scope="site:update", summary="Cap on how many sites with a tag something runs at once",
          handler=fleet.put_cap, returns=shapes.TagCap, body=fleet_models.CapBody),
    Route(method="DELETE", path="/tag-caps/{tag}", scope="site:update", summary="Lift a cap",
          handler=fleet.lift_cap, returns=shapes.TagCap),
    Route(method="GET", path="/contacts", scope="contact:update", summary="List how people are told",
          handler=contacts.list_contacts, returns=shapes.Contact, is_list=True, query=fleet_models.ContactQuery),
    Route(method="POST", path="/contacts", scope="contact:update", summary="Add a contact, or change what it is told",
          handler=contacts.set_contact, returns=shapes.Contact, status=(201,), body=fleet_models.NewContact),
    Route(method="DELETE", path="/contacts/{contact_id}", scope="contact:update", summary="Write to a contact no more",
          handler=contacts.disable_contact, returns=shapes.Contact),
)  # fmt: skip
