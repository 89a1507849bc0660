"""What an approver has signed of a launch, held against each site and the time just before something is started there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tminus.domain.authorization import Occasion, may_start, why_not_now
from tminus.domain.digest import SitePart, site_digest
from tminus.domain.occurrence import Occurrence

NOT_AS_SIGNED = "the site is not as it was signed (its address, credential or key was changed)"

NOT_CONFIRMED = "its wave has to be confirmed by a signature, and is not"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mandate:
    """What an approver has signed of a launch, for it to be compared with each site and with the time."""

    occasion: Occasion
    sites: dict[str, str]  # id, digest
    longest_launch: timedelta
    occurrence: Occurrence | None = None  # of a launch that was made
    confirmed: int = 1  # up to which of its waves it may go, by signature

    @property
    def may_start(self) -> int | None:
        """How many of its sites; None: any."""
        return may_start(self.occasion, self.confirmed)

    def names_another(self, site: SitePart) -> bool:
        return self.sites.get(site.id) != site_digest(site)

    def why_not(self, site: SitePart, now: datetime) -> str | None:
        """Say why nothing may be started on `site` at `now`, by this host's clock; None if it may."""
        if site.host_key is None:
            return "no host key is pinned for this site, and only what is pinned can be signed"
        if self.names_another(site):
            return NOT_AS_SIGNED
        count = self.may_start
        if count is not None and self.occasion.row.wave_order is None and site.id not in list(self.sites)[:count]:
            # With an order by tags, which nobody signs, the number of sites is held against it: see Authority.why_not.
            return NOT_CONFIRMED
        return why_not_now(self.occasion, now, longest_launch=self.longest_launch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    why: str
