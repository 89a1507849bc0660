"""A simulated fleet of RouterOS routers: real SSH servers with a console, a configuration, files and faults.

It stands in for routers in the demo, the tests and the benchmark, and it keeps a journal of what was really executed.
Nothing of it was compared with a real router by us: it follows public transcripts, and where those are silent
``Behaviour`` has a switch.
"""

from . import options
from .behaviour import DEFAULT, PROFILES, WORST, Behaviour, ChannelEnd, Keyboard, Newline, OverLength, Question, flipped
from .faults import Fault, parse_faults
from .fleet import Fleet, FleetSpec, SiteSpec, simulate
from .fleetfile import read_fleet
from .inventory import Site
from .journal import Event, Journal, Kind
from .setup import ORDINARY, HostKey, Setup
from .versions import TESTED

__all__ = [
    "DEFAULT",
    "ORDINARY",
    "PROFILES",
    "TESTED",
    "WORST",
    "Behaviour",
    "ChannelEnd",
    "Event",
    "Fault",
    "Fleet",
    "FleetSpec",
    "HostKey",
    "Journal",
    "Keyboard",
    "Kind",
    "Newline",
    "OverLength",
    "Question",
    "Setup",
    "Site",
    "SiteSpec",
    "flipped",
    "options",
    "parse_faults",
    "read_fleet",
    "simulate",
]
