"""scripts/audit: a package that could not be audited is never taken for one without vulnerabilities."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/audit_report.py"
SOUND = {"name": "a", "version": "1", "vulns": []}
SKIPPED = {"name": "b", "skip_reason": "Dependency not found on PyPI and could not be audited: b (1)"}
BAD = {"name": "c", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}


@pytest.mark.parametrize(
    ("report", "status", "says"),
    [
        (json.dumps({"dependencies": [SOUND, SOUND]}), 0, "the 2 packages"),
        (json.dumps({"dependencies": [SOUND, BAD]}), 1, "c 1: PYSEC-1, mended in 2"),
        (json.dumps({"dependencies": [SKIPPED, BAD]}), 1, "PYSEC-1"),
        (json.dumps({"dependencies": [SOUND, SKIPPED]}), 2, "1 of 2 packages could not be audited"),
        (json.dumps({"dependencies": []}), 2, "0 of 0"),
        ("", 2, "there is no report"),
        ("[]", 2, "there is no report"),
    ],
)
def test_a_report_is_judged(report: str, status: int, says: str, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(report)
    done = subprocess.run([sys.executable, SCRIPT, file], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == status
    assert says in done.stdout + done.stderr
