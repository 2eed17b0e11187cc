"""A finished run as one page: numbers, curves, and three mistakes with the hints that helped.

The page is complete in itself. It runs no script and may load nothing, which its content security
policy makes sure of; all that came from a trajectory is escaped. Knows nothing of training.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from agentsd.report_page import wording
from agentsd.report_page.charts import charts
from agentsd.report_page.examples import examples
from agentsd.report_page.inputs import Inputs, read_inputs
from agentsd.rundir import RunDir

NUM_EXAMPLES = 3


def write_report(run: RunDir) -> Path:
    """Write ``run.report``, replacing an older one at once. Returns its path.

    Raises ``DataError`` when the run is not finished, or a file of it cannot be read.
    """
    inputs = read_inputs(run, NUM_EXAMPLES)
    partial = run.report.with_name(f".{run.report.name}.partial")
    partial.write_text(_page(run, inputs), encoding="utf-8", errors="backslashreplace")
    partial.replace(run.report)
    return run.report


def _page(run: RunDir, inputs: Inputs) -> str:
    style = Markup(_part("style.css"))
    return (
        _environment()
        .get_template("page.html")
        .render(
            inputs=inputs,
            summary=inputs.summary,
            gate=inputs.gate,
            charts=charts(inputs),
            examples=examples(run, inputs.gate.shown),
            style=style,
            style_hash=_csp_hash(style),
        )
    )


def _environment() -> Environment:
    """Templates that escape everything, and fail where a name is misspelled."""
    environment = Environment(
        loader=FunctionLoader(_part),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for word in (
        wording.category,
        wording.divergence_name,
        wording.duration,
        wording.interval,
        wording.number,
        wording.percent,
        wording.probability,
        wording.token_text,
    ):
        environment.filters[word.__name__] = word
    environment.globals["wording"] = wording
    return environment


def _finalized(value: object) -> object:
    """What is printed: text, unless it is markup already, without characters that disturb."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return wording.visible(value)
    return value


def _part(name: str) -> str:
    """A file of the page that is part of the package."""
    return (resources.files("agentsd.report_page") / name).read_text(encoding="utf-8")


def _csp_hash(style: str) -> str:
    """The one style sheet that the page allows, as a content security policy names it."""
    digest = hashlib.sha256(style.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
