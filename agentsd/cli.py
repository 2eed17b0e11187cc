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

from agentsd.cli_machine import doctor, gc
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


cli.add_command(doctor)
cli.add_command(gc)


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


@cli.command()
@click.argument("source", metavar="INPUT", type=EXISTING)
@click.option("--env", "name", required=True, help="Environment that INPUT was recorded in.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="May be repeated.")
@click.option(
    "--mode", default="strict", show_default=True, help="What must be equal: strict, json, errors."
)
@click.option("--ignore", "kinds", multiple=True, help="timestamps, uuids, addresses or durations.")
@click.option("--ignore-pattern", "patterns", multiple=True, metavar="REGEX", help="Ignored text.")
@click.option("--until", metavar="ID:TURN", help="Only this trajectory, up to before this turn.")
@click.option("--from", "fmt", default="auto", show_default=True, help="Format of INPUT.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def replay(source: Path, name: str, fmt: str, as_json: bool, **how: Any) -> None:
    """Make the recorded calls of INPUT again; exit code 1 when a result differs."""
    import json

    from agentsd.config import parse_options
    from agentsd.matching import matching
    from agentsd.registry import load_taskset
    from agentsd.replay_report import parse_until, replay_file

    report = _run(
        replay_file(
            source,
            load_taskset(name, parse_options(how["options"])),
            fmt=fmt,
            matching=matching(how["mode"], how["kinds"], how["patterns"]),
            until=parse_until(how["until"]) if how["until"] else None,
        )
    )
    if as_json:
        click.echo(json.dumps(report.plain()))
    else:
        for each in report.replays:
            if each.status != "equal":
                click.echo(f"{each.trajectory_id}: {each.divergence or each.problem}")
    found = "  ".join(f"{count} {what}" for what, count in report.counts().items())
    click.echo(found.replace("_", " "), err=True)
    sys.exit(0 if report.is_equal else 1)


@cli.group()
def env() -> None:
    """Work with environments."""


@env.command("check")
@click.argument("name", required=False)
@click.option("--sandbox", metavar="NAME", help="Check a sandbox, bwrap or docker, instead.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="May be repeated.")
@click.option("--split", default="train", show_default=True)
@click.option("--tasks", "count", default=3, show_default=True, type=click.IntRange(1))
def env_check(
    name: str | None, sandbox: str | None, options: tuple[str, ...], split: str, count: int
) -> None:
    """Check that environment NAME, or a sandbox, keeps the promises that training relies on."""
    if name and not sandbox:
        problems = _env_problems(name, options, split, count)
    elif sandbox and not name:
        problems = _sandbox_problems(sandbox)
    else:
        raise click.UsageError("give either the NAME of an environment or --sandbox")
    for problem in problems:
        click.echo(problem)
    click.echo(f"{name or sandbox}: {len(problems)} problems", err=True)
    sys.exit(1 if problems else 0)


def _env_problems(name: str, options: tuple[str, ...], split: str, count: int) -> list[str]:
    from agentsd.config import parse_options
    from agentsd.registry import load_taskset
    from agentsd.testing import check_taskset

    return _run(check_taskset(load_taskset(name, parse_options(options)), split, count))


def _sandbox_problems(name: str) -> list[str]:
    from functools import partial

    from rich.console import Console

    from agentsd.attacks.runner import run_attacks, unblocked
    from agentsd.attacks.table import attack_table, summary
    from agentsd.sandbox.backends import backend
    from agentsd.sandbox_checks import check_sandbox

    make = partial(backend, name)
    reports = _run(run_attacks(make))
    Console().print(attack_table(reports))
    click.echo(f"{name}: {summary(reports)}", err=True)
    return [*unblocked(reports), *_run(check_sandbox(make))]


@env.command("from-mcp")
@click.argument("command", nargs=-1, metavar="[-- COMMAND...]")
@click.option("--url", help="A server that runs already, instead of COMMAND.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="May be repeated.")
def env_from_mcp(command: tuple[str, ...], url: str | None, options: tuple[str, ...]) -> None:
    """Print the tools of an MCP server, and a recipe section that makes it an environment.

    COMMAND runs in a sandbox; --option sandbox=none trusts it.
    """
    from agentsd.config import parse_options
    from agentsd.tools.mcp_recipe import recipe_section

    ways = {"command": list(command) or None, "url": url}
    given = {name: way for name, way in ways.items() if way is not None}
    click.echo(_run(recipe_section(given | parse_options(options))), nl=False)


def _run(job: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine; of a group of errors that users can read, the first one speaks."""
    try:
        return asyncio.run(job)
    except ExceptionGroup as errors:
        first = errors.exceptions[0]
        if len(errors.exceptions) == 1 or errors.split(AgentsdError)[1] is None:
            raise first from errors
        raise
