"""tminus launches authorized RouterOS scripts on fleets of MikroTik routers."""

__version__ = "0.1.0"
