"""One background duty per file, and what they share. `assembly` wires them: no duty reaches for another, but by what it is given."""
