"""What the public record shows of RouterOS, replayed against simulated routers or a real one: see ``docs/conformance.md``."""
