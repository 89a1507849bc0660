"""The OpenAPI 3.1 document, made from the table of routes and the models that check requests."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from tminus import __version__
from tminus.web.problems import KINDS, Code
from tminus.web.routes import PATH_PARTS, ROUTES, Route
from tminus.web.shapes import Error
from tminus.web.tokens import SCOPES

_ALWAYS = (
    Code.BAD_REQUEST,
    Code.UNAUTHENTICATED,
    Code.SCOPE_MISSING,
    Code.TOO_MANY_REQUESTS,
    Code.INTERNAL,
    Code.DATABASE_UNAVAILABLE,
)
_WITH_BODY = (Code.TOO_SLOW, Code.TOO_LARGE, Code.NOT_JSON, Code.INVALID, Code.CONFLICT)


def document() -> dict[str, Any]:
    """Make the whole document."""
    models: list[tuple[type[BaseModel], Any]] = [(Error, "serialization")]
    for route in ROUTES:
        models += [(model, "validation") for model in (route.body,) if model is not None]
        models += [(model, "serialization") for model in (route.returns,) if model is not None]
    _, schemas = models_json_schema(list(dict.fromkeys(models)), ref_template="#/components/schemas/{model}")
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tminus",
            "version": __version__,
            "description": "Launches authorized RouterOS scripts on fleets of MikroTik routers.",
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "Scopes: " + "; ".join(f"{scope}: {what}" for scope, what in SCOPES.items()),
                }
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": route.summary,
        "description": f"Needs the scope `{route.scope}`.",
        "parameters": _parameters(route),
        "responses": _responses(route),
    }
    if route.body is not None:
        schema = {"$ref": f"#/components/schemas/{route.body.__name__}"}
        operation["requestBody"] = {
            "required": route.body_is_needed,
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": dict(PATH_PARTS[name].schema)}
        for name in route.path_parts
    ]
    if route.query is not None:
        for name, schema in route.query.model_json_schema()["properties"].items():
            found.append({"name": name, "in": "query", "required": False, "schema": _not_null(schema)})
    if route.method == "POST":
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "The same request with the same key within a day is done once, and answered again.",
                "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
            }
        )
    if route.method == "PUT" and route.versioned:
        found.append(
            {
                "name": "If-Match",
                "in": "header",
                "required": False,
                "description": "Change it only if it still has this ETag.",
                "schema": {"type": "string"},
            }
        )
    return found


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is left out, never null."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if not choices:
        return {key: value for key, value in schema.items() if key != "title"}
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "title", "default")}
    return {**rest, **choices[0]}


def _responses(route: Route) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status in route.status:
        answers[str(status)] = {"description": "Done.", "headers": _headers(route), "content": _content(route)}
    codes = [*_ALWAYS]
    if route.path_parts:
        codes.append(Code.NOT_FOUND)
    if route.query is not None or route.method == "POST":
        codes.append(Code.INVALID)
    if route.body is not None:
        codes.extend(_WITH_BODY)
    if route.method in ("POST", "DELETE"):
        codes.append(Code.CONFLICT)
    if route.method == "PUT" and route.versioned:
        codes.append(Code.PRECONDITION_FAILED)
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for status in sorted({KINDS[code].status for code in codes}):
        names = ", ".join(code for code, kind in KINDS.items() if kind.status == status)
        answers[str(status)] = {"description": f"One of the codes {names}.", "content": error}
    return answers


def _headers(route: Route) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if route.is_list:
        headers["Link"] = {"description": 'The next page, rel="next", if there is one.', "schema": {"type": "string"}}
    if route.versioned:
        headers["ETag"] = {"description": "For If-Match.", "schema": {"type": "string"}}
    return headers


def _content(route: Route) -> dict[str, Any]:
    if route.returns is None:
        return {"text/plain": {"schema": {"type": "string"}}}
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{route.returns.__name__}"}
    return {"application/json": {"schema": {"type": "array", "items": schema} if route.is_list else schema}}
