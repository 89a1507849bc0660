"""How fast the parser reads a script, at growing sizes: a figure that falls as the script grows would show a square."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tminus.routeros.language import parse

SIZES_KIB = (64, 256, 1024)  # the last is the longest script that the database takes
LINES = {
    "add lines": (
        "/ip firewall address-list\n",
        'add list=blocked address=10.{a}.{b}.{c} comment="entry {n} of the list" timeout=1d\n',
    ),
    "code": (
        ":global total 0\n",
        ':if ([:len $list] > {n}) do={{ :put ("value " . "$[:tostr $list] x") }} else={{ :set total ($total + {n}) }}\n',
    ),
}


def script(kind: str, size: int) -> bytes:
    head, line = LINES[kind]
    lines, length, n = [head], len(head), 0
    while length < size:
        lines.append(line.format(n=n, a=n >> 16 & 255, b=n >> 8 & 255, c=n & 255))
        length += len(lines[-1])
        n += 1
    return "".join(lines).encode()


def rows() -> Iterator[str]:
    parse(b":put 1")  # reads the table of names
    for kind in LINES:
        for size in SIZES_KIB:
            source = script(kind, size * 1024)
            begin = time.process_time()
            parse(source)
            taken = time.process_time() - begin
            yield f"parser, {kind:<9} {size:>5} KiB: {len(source) / taken / 1e6:5.2f} MB/s, {taken:6.3f} s of CPU"
