"""What the clock on the wall says of a window, as plainly as it can be written. The oracle for windows."""

from __future__ import annotations

from datetime import datetime

from tminus.domain.windows import Window


def is_open(window: Window, moment: datetime) -> bool:
    wall = moment.astimezone(window.zone)
    clock, today, yesterday = wall.time().replace(fold=0), wall.weekday(), (wall.weekday() - 1) % 7
    for rule in window.weekly:
        if rule.begins < rule.ends:
            if today in rule.days and rule.begins <= clock < rule.ends:
                return True
        elif (today in rule.days and clock >= rule.begins) or (yesterday in rule.days and clock < rule.ends):
            return True
    return any(span.begins <= moment < span.ends for span in window.spans)
