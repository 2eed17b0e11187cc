"""Environments that ship with agentsd, one module or folder each."""
