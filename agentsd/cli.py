"""The command line. Parses, calls one function, prints; heavy modules load inside the commands.

Exit codes: 0 done, 1 failed, 2 bad usage or input (one line on stderr), 130 interrupted.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from agentsd.errors import AgentsdError, UsageError

PATH = click.Path(path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)
OVERRIDES = click.argument("overrides", nargs=-1, metavar="[SECTION.KEY=VALUE]...")


def main() -> None:
    """Entry point of the ``agentsd`` command."""
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except UsageError as error:
        click.echo(f"agentsd: {error}", err=True)
        code = 2
    except AgentsdError as error:
        click.echo(f"agentsd: {error}", err=True)
        code = 1
    except (KeyboardInterrupt, click.Abort):
        click.echo("agentsd: interrupted", err=True)
        code = 130
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="agentsd")
def cli() -> None:
    """Train tool-using language models by targeted on-policy self-distillation."""


@cli.command()
@click.option("--out", type=PATH, required=True, help="Folder of the run; must be new or empty.")
@click.option("--resume", is_flag=True, help="Go on with an unfinished run in the folder.")
@OVERRIDES
def quickstart(out: Path, resume: bool, overrides: tuple[str, ...]) -> None:
    """Train the policy that ships with agentsd at its desk: a few minutes on two cores."""
    _train("quickstart", overrides, out, resume)


@cli.command()
@click.argument("recipe")
@click.option("--out", type=PATH, required=True, help="Folder of the run; must be new or empty.")
@click.option("--resume", is_flag=True, help="Go on with an unfinished run in the folder.")
@OVERRIDES
def train(recipe: str, out: Path, resume: bool, overrides: tuple[str, ...]) -> None:
    """Train as RECIPE (a TOML file) says: evaluate, train, evaluate, report."""
    _train(recipe, overrides, out, resume)


def _train(recipe_name: str, overrides: tuple[str, ...], out: Path, resume: bool) -> None:
    from rich.console import Console

    from agentsd.config import load_recipe
    from agentsd.registry import recipe_file

    recipe = load_recipe(recipe_file(recipe_name), overrides)

    from agentsd.pipeline import run_recipe

    summary = _run(run_recipe(recipe, out, Console(), resume=resume))
    before, after = summary["before"], summary["after"]
    click.echo(f"errors per call  {before['error_rate']:.3f} -> {after['error_rate']:.3f}")
    click.echo(f"task success     {before['success']:.3f} -> {after['success']:.3f}")
    click.echo(f"drift            {summary['drift_nats']:.4f} nats per token")
    click.echo(f"time             {summary['seconds']:.0f} s")
    click.echo(f"report           {out / 'report.html'}")


@cli.command()
@click.argument("recipe")
@click.option("--out", type=PATH, required=True, help="JSONL file of trajectories, made anew.")
@click.option("--split", default="test", show_default=True, help="Split of the tasks.")
@click.option("--episodes", type=click.IntRange(1), help="How many; default: all tasks once.")
@OVERRIDES
def rollout(
    recipe: str, out: Path, split: str, episodes: int | None, overrides: tuple[str, ...]
) -> None:
    """Run the policy of RECIPE in its environment and write the trajectories."""
    from rich.console import Console

    from agentsd.config import load_recipe
    from agentsd.pipeline import rollout_recipe
    from agentsd.registry import recipe_file

    loaded = load_recipe(recipe_file(recipe), overrides)
    count = _run(rollout_recipe(loaded, out, Console(), split=split, episodes=episodes))
    click.echo(f"{count} trajectories in {out}", err=True)


@cli.command("eval")
@click.argument("recipe")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@OVERRIDES
def eval_(recipe: str, as_json: bool, overrides: tuple[str, ...]) -> None:
    """Judge the policy of RECIPE on held-out tasks: errors per call, success."""
    import json

    from rich.console import Console

    from agentsd.config import load_recipe
    from agentsd.pipeline import evaluate_recipe
    from agentsd.registry import recipe_file

    loaded = load_recipe(recipe_file(recipe), overrides)
    result = _run(evaluate_recipe(loaded, Console(stderr=True)))
    if as_json:
        click.echo(json.dumps(result))
        return
    for name in ("error_rate", "success"):
        low, high = result[f"{name}_interval"]
        click.echo(f"{name:<12} {result[name]:.3f}  [{low:.3f}, {high:.3f}]")
    for category, share in result["by_category"].items():
        click.echo(f"{category:<12} {share['rate']:.3f}  ({share['count']} calls)")


@cli.command()
@click.argument("source", metavar="INPUT", type=EXISTING)
@click.option("--critic", "critics", required=True, help="Names, separated by commas.")
@click.option("--out", type=PATH, required=True, help="JSONL file of findings, made anew.")
@click.option("--from", "fmt", default="auto", show_default=True, help="Format of INPUT.")
@click.option("--tools", type=EXISTING, help="JSON file of the tools, if INPUT lacks them.")
def review(source: Path, critics: str, out: Path, fmt: str, tools: Path | None) -> None:
    """Let critics read the trajectories in INPUT; write one finding a line."""
    from agentsd.formats.tools_file import read_tools
    from agentsd.registry import load_critic
    from agentsd.review import review_file

    loaded = [load_critic(name, {}) for name in critics.split(",")]
    offered = read_tools(tools) if tools else None
    counts = _run(review_file(source, loaded, out, fmt, offered))
    found = "  ".join(f"{category}={count}" for category, count in counts.findings.items())
    click.echo(
        f"{counts.trajectories} trajectories  {counts.calls} calls  "
        f"{counts.error_results} error results  {found or 'no findings'}",
        err=True,
    )


@cli.group()
def env() -> None:
    """Work with environments."""


@env.command("check")
@click.argument("name")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="May be repeated.")
@click.option("--split", default="train", show_default=True)
@click.option("--tasks", "count", default=3, show_default=True, type=click.IntRange(1))
def env_check(name: str, options: tuple[str, ...], split: str, count: int) -> None:
    """Check that environment NAME keeps the promises that training relies on."""
    from agentsd.config import parse_options
    from agentsd.registry import load_taskset
    from agentsd.testing import check_taskset

    problems = _run(check_taskset(load_taskset(name, parse_options(options)), split, count))
    for problem in problems:
        click.echo(problem)
    click.echo(f"{name}: {len(problems)} problems", err=True)
    sys.exit(1 if problems else 0)


def _run(job: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine; a group of one error is that error."""
    try:
        return asyncio.run(job)
    except ExceptionGroup as errors:
        if len(errors.exceptions) == 1:
            raise errors.exceptions[0] from errors
        raise
