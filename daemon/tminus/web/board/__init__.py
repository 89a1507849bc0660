"""The launch board: pages for people, made on the server, with live updates.

It reads by statements of its own; whatever a person does on it is done by the handlers of the API, with the scopes of the token
that they logged in with. A page that is opened changes nothing.
"""
