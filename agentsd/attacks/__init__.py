"""Attacks on sandboxes: what is tried, and what stopped it.

Attacks stay on the machine: files of the host are opened but never written, except bait that the
suite made; traffic goes to listeners on the loopback address that the suite started; other socket
families are created but never connected; bombs are bounded and aim at the box's own limits.
Knows nothing of any backend.
"""
