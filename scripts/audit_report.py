"""Judges a report of pip-audit (JSON). Exit status 0: all was audited and nothing is known; 1: something is; 2: not all was audited."""

import json
import sys
from pathlib import Path


def judge(text: str) -> tuple[int, list[str]]:
    """Return the exit status, and lines for people."""
    try:
        packages = json.loads(text)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return 2, ["there is no report"]
    known = [package for package in packages if package.get("vulns")]
    if known:
        return 1, [
            f"{package['name']} {package['version']}: {each['id']}, mended in {', '.join(each.get('fix_versions', [])) or 'no version'}"
            for package in known
            for each in package["vulns"]
        ]
    skipped = [package for package in packages if "vulns" not in package]
    if skipped or not packages:
        return 2, [f"{len(skipped)} of {len(packages)} packages could not be audited"]
    return 0, [f"no vulnerability is known of the {len(packages)} packages"]


if __name__ == "__main__":
    status, lines = judge(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(*lines, sep="\n", file=sys.stderr if status else sys.stdout)
    sys.exit(status)
