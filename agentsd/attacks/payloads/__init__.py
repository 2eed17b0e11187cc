"""The payloads, one module a category: functions from ``Bait`` to ``Report``, run inside the box.

The first line of a function's docstring is what the table says was tried. Each attempt is bounded,
and changes nothing on a host that lets it through.
"""
