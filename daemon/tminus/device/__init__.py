"""Routers over SSH: connections, host keys, credentials. The only code of the daemon that imports asyncssh."""
