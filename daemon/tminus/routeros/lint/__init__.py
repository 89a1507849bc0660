"""What a person should know about a script before it is authorized: hazards, pitfalls, and what it does in short.

Pure: ``inspect`` takes the script's bytes and gives findings (``Finding``: a stable code, a severity, a place, a sentence)
and a summary. It judges by what is written; what a script computes while it runs, nobody can see here, and that is a
finding too.
"""

from __future__ import annotations

from .finding import Finding, Severity, from_json
from .inspection import SITE_TIMEOUT, Inspection, inspect

__all__ = ["SITE_TIMEOUT", "Finding", "Inspection", "Severity", "from_json", "inspect"]
