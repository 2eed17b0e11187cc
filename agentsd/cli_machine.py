"""The commands about this machine: what works here, and what crashed runs left behind.

Parses, calls one function, prints; heavy modules load inside the commands.
"""

from __future__ import annotations

import asyncio

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.option("--vllm-url", help="Ask a vLLM server, too.")
def doctor(as_json: bool, vllm_url: str | None) -> None:
    """Try every sandbox, engine and optional package; print the fix for what does not work."""
    import json
    from dataclasses import asdict

    from agentsd.doctor import examine

    probes = asyncio.run(examine(vllm_url))
    if as_json:
        click.echo(json.dumps([asdict(probe) for probe in probes]))
        return
    for probe in probes:
        click.echo(f"{'ok' if probe.works else '--'}  {probe.name:<16} {probe.detail}")
        if probe.fix:
            click.echo(f"{'':<21}fix: {probe.fix}")


@click.command()
@click.option("--run", required=True, help="Label of the run; 'default' where none was given.")
@click.option("--images", "with_images", is_flag=True, help="Also images that it built.")
def gc(run: str, with_images: bool) -> None:
    """Remove the boxes that a crashed run left behind, by its label only."""
    from agentsd.leftovers import sweep

    swept = asyncio.run(sweep(run, with_images=with_images))
    for line in swept.removed or ("nothing was left",):
        click.echo(line)
    for note in swept.notes:
        click.echo(note, err=True)
