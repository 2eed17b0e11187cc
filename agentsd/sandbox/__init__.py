"""Closed boxes for untrusted commands, one module family for each backend."""
