"""What the HTTP API answers when it does not do what was asked: one shape, and one table of codes.

The database's refusals become problems here and nowhere else: the SQLSTATE says which, the sentence is the schema's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tminus.errors import Refused, StoreError, StoreUnavailable


class Code(StrEnum):
    UNAUTHENTICATED = "unauthenticated"
    SCOPE_MISSING = "scope_missing"
    NOT_ALLOWED = "not_allowed"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    ALREADY_LAUNCHED = "already_launched"
    CANCELLED = "cancelled"
    STALE_DIGEST = "stale_digest"
    ALREADY_EXISTS = "already_exists"
    KEY_REUSED = "idempotency_key_reused"
    PRECONDITION_FAILED = "precondition_failed"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    INVALID = "invalid"
    BAD_REQUEST = "bad_request"
    TOO_MANY_REQUESTS = "too_many_requests"
    TOO_SLOW = "too_slow"
    DATABASE_UNAVAILABLE = "database_unavailable"
    KEYS_UNAVAILABLE = "keys_unavailable"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    status: int
    type: str
    meaning: str


KINDS: Mapping[Code, Kind] = {
    Code.UNAUTHENTICATED: Kind(
        status=401,
        type="authentication_error",
        meaning="The request has no bearer token, or one that is not accepted here: get a new one.",
    ),
    Code.SCOPE_MISSING: Kind(
        status=403, type="permission_error", meaning="The token does not have the scope that the request needs."
    ),
    Code.NOT_ALLOWED: Kind(
        status=403,
        type="permission_error",
        meaning="A rule says that this person may not: for example, the author does not authorize.",
    ),
    Code.NOT_FOUND: Kind(status=404, type="not_found_error", meaning="There is nothing with this id or path."),
    Code.METHOD_NOT_ALLOWED: Kind(
        status=405, type="invalid_request_error", meaning="The path has other methods; the header Allow names them."
    ),
    Code.CONFLICT: Kind(
        status=409, type="conflict_error", meaning="What it is about is not in a state in which this can be done."
    ),
    Code.ALREADY_LAUNCHED: Kind(
        status=409,
        type="conflict_error",
        meaning="The scheduled script was launched and is not changed or authorized any more: make a new one.",
    ),
    Code.CANCELLED: Kind(
        status=409,
        type="conflict_error",
        meaning="The scheduled script is cancelled and is not changed or authorized any more: make a new one.",
    ),
    Code.STALE_DIGEST: Kind(
        status=409,
        type="conflict_error",
        meaning="What was reviewed is not what is there now: review it again, and send its new digest.",
    ),
    Code.ALREADY_EXISTS: Kind(status=409, type="conflict_error", meaning="There is another one under this name."),
    Code.KEY_REUSED: Kind(
        status=409,
        type="conflict_error",
        meaning="The Idempotency-Key was used for another request: take a new key for a new wish.",
    ),
    Code.PRECONDITION_FAILED: Kind(
        status=412,
        type="conflict_error",
        meaning="It was changed since it had the ETag that If-Match names: read it again. Nothing was changed.",
    ),
    Code.TOO_LARGE: Kind(status=413, type="invalid_request_error", meaning="The body is larger than is taken."),
    Code.NOT_JSON: Kind(
        status=415,
        type="invalid_request_error",
        meaning="A body is JSON, with Content-Type: application/json and no Content-Encoding.",
    ),
    Code.INVALID: Kind(
        status=422,
        type="invalid_request_error",
        meaning="A value breaks a rule; `fields` has each such field with what is wrong with it.",
    ),
    Code.BAD_REQUEST: Kind(
        status=400, type="invalid_request_error", meaning="The request is no HTTP that makes sense."
    ),
    Code.TOO_MANY_REQUESTS: Kind(
        status=429, type="rate_limit_error", meaning="Too many requests of this person: wait as Retry-After says."
    ),
    Code.TOO_SLOW: Kind(status=408, type="invalid_request_error", meaning="The body did not arrive in time."),
    Code.DATABASE_UNAVAILABLE: Kind(
        status=503,
        type="api_error",
        meaning="The database did not answer. It is not known whether it did what was asked: look, or repeat the"
        " request with the same Idempotency-Key.",
    ),
    Code.KEYS_UNAVAILABLE: Kind(
        status=503, type="api_error", meaning="The keys that prove tokens could not be fetched: try again."
    ),
    Code.INTERNAL: Kind(status=500, type="api_error", meaning="A defect of tminus; its log has the details."),
}

_NOT_FOUND = "P0002"
_NOT_IN_STATE = "55000"
_NOT_PRIVILEGED = "42501"
_DUPLICATE = "23505"


class Problem(Exception):
    """Ends a request with an error answer."""

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = dict(fields or {})
        self.headers = dict(headers or {})

    @property
    def status(self) -> int:
        return KINDS[self.code].status

    def document(self, docs: str) -> dict[str, object]:
        """Return the body. `docs` is where the codes are explained, without the code."""
        shape: dict[str, object] = {
            "type": KINDS[self.code].type,
            "code": self.code.value,
            "message": self.message,
            "doc_url": f"{docs}/{self.code}",
        }
        return shape | ({"fields": self.fields} if self.fields else {})


def of_store(error: StoreError) -> Problem:
    """Say what the database said, in terms of HTTP."""
    match error:
        case StoreUnavailable():
            return Problem(Code.DATABASE_UNAVAILABLE, str(error), headers={"Retry-After": "5"})
        case Refused(sqlstate=state, column=column):
            if state == _NOT_FOUND:
                return Problem(Code.NOT_FOUND, str(error))
            if state == _NOT_IN_STATE:
                return Problem(Code.CONFLICT, str(error))
            if state == _NOT_PRIVILEGED:
                return Problem(Code.NOT_ALLOWED, str(error))
            if state == _DUPLICATE:
                return Problem(Code.ALREADY_EXISTS, str(error))
            return Problem(Code.INVALID, str(error), fields={column: str(error)} if column else None)
        case _:
            return Problem(Code.INTERNAL, "the database refused in a way that was not foreseen")
