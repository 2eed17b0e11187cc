"""Keeps pytest from importing the servers here: they are programs that talk over stdio."""

collect_ignore_glob = ["*.py"]
