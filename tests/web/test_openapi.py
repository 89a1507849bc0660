"""The OpenAPI document is true: schemathesis attacks the running API by it, and every answer is one that it announces."""

from __future__ import annotations

import asyncio
import re
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support import clean_environment
from tests.web.conftest import Api, token
from tests.web.test_reading import launched
from tminus.web.problems import KINDS, Code
from tminus.web.routes import PATH_PARTS, ROUTES
from tminus.web.tokens import SCOPES

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Not positive_data_acceptance: no schema can say which sites there are, nor what time it is.
_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)


@pytest.mark.timeout(180)
async def test_schemathesis_finds_nothing_that_the_document_does_not_say(api: Api, tmp_path: Path) -> None:
    await launched(api, ["a", "b", "c"])
    program = Path(sysconfig.get_path("scripts")) / "schemathesis"
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), "run", f"{api.url}/openapi.json", "--header", f"Authorization: Bearer {token('fuzz')}",
        "--checks", ",".join(_CHECKS), "--max-examples", "4", "--seed", "8", "--workers", "1", "--request-timeout", "20",
        "--max-time", "25", "--output-truncate", "false", "--no-color", "--suppress-health-check", "all",
        cwd=tmp_path, env=clean_environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()


async def test_the_document_has_every_route_and_no_other(api: Api) -> None:
    document = (await api("GET", "/openapi.json", bearer="")).json()
    assert document["openapi"].startswith("3.1")
    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert told == {(route.method, route.path) for route in ROUTES}
    for route in ROUTES:
        operation = document["paths"][route.path][route.method.lower()]
        assert route.scope in operation["description"]
        assert {it["name"] for it in operation["parameters"] if it["in"] == "path"} == set(route.path_parts)
        assert set(route.path_parts) <= PATH_PARTS.keys()


async def test_every_error_has_a_page_that_explains_it(api: Api) -> None:
    assert set(KINDS) == set(Code)
    problem = (await api("GET", "/nothing")).problem(404, "not_found")
    for code in Code:
        page = await api("GET", problem["doc_url"].replace("not_found", code), bearer="")
        assert page.text.startswith(f"{code} ({KINDS[code].status}")
        assert KINDS[code].meaning in page.text
    (await api("GET", "/errors/none")).problem(404, "not_found")


_PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text(encoding="utf-8")


async def test_the_page_of_the_api_has_every_route_scope_and_code() -> None:
    rows = set(re.findall(r"^\| `(GET|POST|PUT|DELETE) ([^`]+)` \| `([a-z:]+)` \|", _PAGE, re.MULTILINE))
    assert rows == {(route.method, re.sub(r"{\w+}", "ID", route.path), route.scope) for route in ROUTES}
    codes = set(re.findall(r"^\| (\d{3}) \| `([a-z_]+)` \|", _PAGE, re.MULTILINE))
    assert codes == {(str(kind.status), code.value) for code, kind in KINDS.items()}
    assert set(SCOPES) == set(re.findall(r"^\| `((?:script|site|contact):[a-z]+)` \|", _PAGE, re.MULTILINE))
