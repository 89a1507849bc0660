"""The daemon's own PostgreSQL."""

from tminus.store.embedded.access import dsn_of_running, psql
from tminus.store.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer", "dsn_of_running", "psql"]
