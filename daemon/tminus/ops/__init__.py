"""Operating the process: logs, metrics, health, systemd."""
