"""Critics that ship with agentsd, one module each."""
