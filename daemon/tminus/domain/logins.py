"""When refused logins are not the routers' affair but the credential's: a launch that goes on would lock accounts everywhere."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginTally:
    """How logins with one credential ended in one launch."""

    refused: int
    accepted: int


def is_common(tally: LoginTally, bound: int) -> bool:
    """Whether a login failure is common to many sites: as many as `bound` refused it, and none took it. 0: never."""
    return bound > 0 and tally.accepted == 0 and tally.refused >= bound


def may_try(tally: LoginTally, trying: int, bound: int) -> bool:
    """Whether one more site may be asked while `trying` others have not answered yet.

    Until one site has taken the credential no more are asked at once than may refuse it.
    """
    return bound == 0 or tally.accepted > 0 or tally.refused + trying < bound


def why_halted(credential: str, tally: LoginTally) -> str:
    return f"{tally.refused} sites refused the login with credential '{credential}' and none took it; no further site was asked"
