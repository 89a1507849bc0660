"""One background duty per file. `app` wires them; none of them knows another but by what it is given."""
