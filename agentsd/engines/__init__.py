"""Engines: what samples from the policy. One module each."""
