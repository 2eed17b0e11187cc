"""Tools: what an environment offers. One module per kind."""
