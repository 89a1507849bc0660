"""The faults: how each is made, and what must hold of it beside the invariants that hold after all of them.

The classes are those of the fault plan (docs/faults.md), and so is their order.
"""

from __future__ import annotations

from tests.faults.scenarios import database, errors, killed, network, slow_routers, stopped, told
from tests.faults.scenarios.scenario import Scenario

_KINDS = (killed, stopped, database, network, slow_routers, told, errors)


def _class_number(scenario: Scenario) -> int:
    return int(scenario.fault.removeprefix("F"))


SCENARIOS = {
    scenario.id: scenario
    for scenario in sorted((found for kind in _KINDS for found in kind.scenarios()), key=_class_number)
}
