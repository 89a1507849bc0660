"""Ways to people, one file each. A channel hands letters over and knows nothing of launches or of the database."""
