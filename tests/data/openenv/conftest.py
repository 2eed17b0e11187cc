"""Nothing here is a test: the server needs packages that only its own environment has."""

collect_ignore = ["server.py"]
