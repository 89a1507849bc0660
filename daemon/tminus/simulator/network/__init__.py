"""A router as SSH clients meet it: listener, connections, logins, sessions, SFTP and the terminal."""
