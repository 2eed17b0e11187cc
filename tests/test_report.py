"""The report of a run: complete in itself, honest, and safe to open whatever a trajectory says."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import IO, Any

import pytest

from agentsd.config import EnvConfig, PolicyConfig, Recipe, dump_recipe
from agentsd.errors import DataError
from agentsd.report import write_report
from agentsd.report_page.charts import charts
from agentsd.report_page.examples import Marked, examples
from agentsd.report_page.inputs import BranchRow, Side, Summary, TokenRow, read_gate, read_inputs
from agentsd.report_page.wording import NBSP, sentence
from agentsd.rundir import RunDir
from agentsd.types import Finding, Message, Span, ToolCall, ToolResult, Trajectory

HOSTILE = (
    "</script></style><img src=x onerror=alert(1)> \"'><b>bold</b> {{ 7 * 7 }} "
    f"Zürich 東京 \u202eflipped \ud800 \x07 {'w' * 400} http://evil.example/x.css url(x)"
)

# What is wrong, where: category, tool, raw arguments, field, quote, hint.
MISTAKES = (
    (
        "T01",
        "send_email",
        '{"to": "c-413", "text": "gate 271"}',
        "name",
        "send_email",
        "Available tools: add, add_event, find_contact, list_events, list_notes, read_note, "
        "send_message, write_note.",
    ),
    (
        "T04",
        "add_event",
        '{"day": "Thursday", "hour": 14, "title": "Thursday"}',
        "arguments",
        "Thursday",
        "In add_event, day must be one of: mon, tue, wed, thu, fri.",
    ),
    (
        "T05",
        "send_message",
        '{"to": "c-100", "text": "' + HOSTILE.replace('"', "'").replace("\x07", " ") + '"}',
        "arguments",
        "c-100",
        "In send_message, copy to from a tool result or the user; look it up first.",
    ),
)


def _share(rate: float, total: int) -> dict[str, Any]:
    half = 1.96 * math.sqrt(rate * (1 - rate) / total)
    return {
        "rate": rate,
        "interval": [max(0, rate - half), rate + half],
        "count": round(rate * total),
    }


def _side(error_rate: float | None, success: float, shares: dict[str, float]) -> dict[str, Any]:
    errors = _share(error_rate or 0, 720)["interval"] if error_rate is not None else [None, None]
    return {
        "error_rate": error_rate,
        "error_rate_interval": errors,
        "calls": 720,
        "success": success,
        "success_interval": _share(success, 150)["interval"],
        "episodes": 150,
        "void": 0,
        "by_category": {category: _share(rate, 720) for category, rate in shares.items()},
    }


def _summary(**changes: Any) -> dict[str, Any]:
    return {
        "before": _side(0.2307, 0.3867, {"T01": 0.101, "T04": 0.062, "T05": 0.0677}),
        "after": _side(0.0418, 0.7933, {"T01": 0.0209, "T04": 0.0111, "T10": 0.0098}),
        "drift_nats": 0.00312,
        "trajectories": 640,
        "seconds": 222.4,
        "steps": 20,
        "seed": 0,
        "policy": "desk",
        "env": "desk",
    } | changes


def _trajectory(step: int, index: int) -> Trajectory:
    _, tool, arguments, *_ = MISTAKES[index % len(MISTAKES)]
    note = ToolCall("call_0", "read_note", '{"name": "bills"}', {"name": "bills"})
    note_text = HOSTILE if index == 2 else "gate 271"
    contact = ToolCall("call_1", "find_contact", '{"person": "Rut"}', {"person": "Rut"})
    wrong = ToolCall("call_2", tool, arguments, None)
    return Trajectory(
        id=f"step-{step:05d}/{index:03d}",
        task_id=f"desk/train/{index:05d}",
        env="desk",
        tools=(),
        messages=(
            Message("user", "Send Ruth the text of note bills. Book demo on Thursday at 14."),
            Message("assistant", "", (note,)),
            Message("tool", note_text, tool_call_id="call_0"),
            Message("assistant", "", (contact,)),
            _refusal("call_1", "Error: nobody called Rut"),
            Message("assistant", HOSTILE if index == 2 else "", (wrong,)),
            _refusal("call_2", "never shown: it stands below the wrong call"),
        ),
    )


def _refusal(call_id: str, text: str) -> Message:
    return Message("tool", text, (), call_id, None, ToolResult(call_id, text, is_error=True))


def _finding(step: int, index: int) -> Finding:
    category, _, arguments, field, quote, hint = MISTAKES[index % len(MISTAKES)]
    start = arguments.index(quote) if field == "arguments" else 0
    return Finding(
        trajectory_id=f"step-{step:05d}/{index:03d}",
        turn=2,
        call_index=0,
        field="arguments" if field == "arguments" else "name",
        quote=quote,
        char_span=Span(start, start + len(quote)),
        category=category,
        severity="critical",
        evidence=f"{quote} is not what the tool takes",
        hint=hint,
        confidence=1.0,
        critic="rules",
    )


def _branch(step: int, index: int, drop: float) -> dict[str, Any]:
    finding = _finding(step, index)
    pieces = [finding.quote[i : i + 4] for i in range(0, len(finding.quote), 4)]
    student = [0.62, 0.981, 0.9999][: len(pieces)]
    return {
        "step": step,
        "trajectory_id": finding.trajectory_id,
        "turn": finding.turn,
        "call_index": finding.call_index,
        "category": finding.category,
        "quote": finding.quote,
        "hint": finding.hint,
        "accepted": drop >= 1,
        "reason": "" if drop >= 1 else f"the hint lowers the mistake by {drop:.2f} nats",
        "drop_nats": drop,
        "tokens": [
            {
                "text": piece,
                "student_p": p,
                "teacher_p": p * math.exp(-drop) if i == 0 else p,
                "divergence": drop / (i + 1) ** 3,
            }
            for i, (piece, p) in enumerate(zip(pieces, student, strict=False))
        ],
    }


def _metrics(step: int) -> dict[str, Any]:
    fall, wave = math.exp(-step / 6), math.sin(step * 2.4) * 0.02
    return {
        "step": step,
        "critic/error_rate": 0.21 * fall + 0.03 + abs(wave) / 2,
        "rollout/success": 0.82 - 0.42 * fall + wave,
        "distill/accepted": round(31 * fall + 2 + 60 * abs(wave)),
        "distill/anchor_kl": 0.0041 * (1 - fall) + abs(wave) / 40,
        "distill/unlocated": step % 4 == 0,
    }


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A finished run of twenty steps with three mistakes in its first."""
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    recipe = Recipe(policy=PolicyConfig(model="desk"), env=EnvConfig(name="desk"))
    run.recipe.write_text(dump_recipe(recipe), encoding="utf-8")
    run.write_json(run.summary, _summary())
    run.append(run.metrics, [_metrics(step) for step in range(1, 21)])
    trajectories = [_trajectory(1, index) for index in range(6)]
    for trajectory in trajectories:
        run.append_trajectory(1, trajectory)
    run.append_findings(trajectories, [_finding(1, index) for index in range(6)])
    drops = (5.31, 3.37, 6.02, 2.2, 0.4, -0.7)
    run.append(run.branches, [_branch(1, index, drop) for index, drop in enumerate(drops)])
    return run


def _written(run: RunDir) -> str:
    return write_report(run).read_text(encoding="utf-8").replace(NBSP, " ")


class _Page(HTMLParser):
    """Tags, attributes and visible text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.text += " " if tag in ("td", "th") else ""
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_gives_the_numbers_of_the_summary(run: RunDir):
    text = _Page(_written(run)).text
    for number in ("23.1 %", "4.2 %", "38.7 %", "79.3 %", "0.0031", "640", "3 min 42 s"):
        assert number in text
    assert "20.0–26.1 %" in text  # 0.2307 -+ 1.96 sqrt(0.2307 * 0.7693 / 720)
    assert "clearly fewer wrong calls than before, and it solves clearly more tasks" in text


def test_the_page_loads_nothing_and_runs_nothing(run: RunDir):
    source = _written(run)
    page = _Page(source)
    assert "script" not in page.tags
    assert not {"img", "iframe", "object", "base", "form"} & set(page.tags)
    assert not [value for _, value in page.attributes if re.search(r"https?:|//", value)]
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "style"]
    style = source[source.index("<style>") : source.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'; style-src 'sha256-" in source


def test_what_a_trajectory_says_is_text_and_never_markup(run: RunDir):
    source = _written(run)
    page = _Page(source)
    assert "</script>" not in source
    assert "<b>bold" not in source
    assert source.count("</style>") == 1
    assert "</script></style><img src=x onerror=alert(1)>" in page.text
    assert "Zürich 東京" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "\\u202eflipped \\ud800 \\u0007" in page.text
    assert not set("\u202e\ud800\x07") & set(source)


def test_a_hostile_recipe_and_policy_name_are_escaped_as_well(run: RunDir):
    run.write_json(run.summary, _summary(policy="</title><script>x</script>", env='"><i>'))
    run.recipe.write_text(run.recipe.read_text() + "\n# </pre><script>x</script>\n")
    page = _Page(_written(run))
    assert not {"script", "i"} & set(page.tags)
    assert "</pre><script>x</script>" in page.text


def test_three_mistakes_of_different_kinds_are_shown_with_their_hints(run: RunDir):
    source = _written(run)
    text = _Page(source).text
    assert source.count("<article") == 3
    for category, *_, hint in MISTAKES:
        assert f"{category}</span></h3>" in source
        assert hint in text
    assert "never shown" not in text
    assert "a drop of 6.02 nats" in text
    assert source.index("a drop of 6.02") < source.index("a drop of 5.31")  # clearest first
    assert (
        "<mark>Thursday</mark>&#34;, &#34;hour&#34;: 14, &#34;title&#34;: &#34;Thursday" in source
    )


def test_the_hint_stands_right_above_the_wrong_turn(run: RunDir):
    source = _written(run)
    for article in source.split("<article")[1:]:
        hint, mark = article.index("message hint"), article.index("<mark>")
        assert hint < mark
        assert article[hint:mark].count("<li") == 1  # the turn itself, nothing in between


def test_the_gate_is_counted_by_what_it_said(run: RunDir):
    text = " ".join(_Page(_written(run)).text.split())
    assert "Accepted 4 66.7 %" in text
    assert "hint too weak 1 16.7 % 0.40" in text
    assert "makes the mistake likelier 1 16.7 % −0.70" in text
    assert "5 more findings never came before the gate" in text


def test_a_run_without_branches_findings_or_steps_says_so(run: RunDir):
    for path in (run.branches, run.findings, run.metrics):
        path.unlink()
    clean = _side(0.0, 1.0, {})
    run.write_json(run.summary, _summary(before=clean, after=clean, drift_nats=None))
    text = " ".join(_Page(_written(run)).text.split())
    assert "No training step was recorded." in text
    assert "The critic found no error in any call" in text
    assert "There were no branches" in text
    assert "No branch was accepted" in text
    assert "No hint taught anything: after 20 training steps" in text
    assert "— nats per token" in text


def test_without_recorded_trajectories_the_hints_are_shown_alone(run: RunDir):
    run.trajectories(1).unlink()
    run.findings.unlink()
    source = _written(run)
    assert source.count("The trajectory is not in the run directory.") == 3


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (_side(0.05, 0.8, {}), "fewer wrong calls than before, and it solves clearly more tasks."),
        (_side(0.4, 0.1, {}), "more wrong calls than before, and it solves clearly fewer tasks."),
        (_side(0.05, 0.1, {}), "fewer wrong calls than before, but it solves clearly fewer tasks."),
        (
            _side(0.22, 0.4, {}),
            "neither the share of wrong calls nor task success has clearly",
        ),
        (_side(None, 0.4, {}), "wrong calls cannot be compared, for want of calls, and task"),
    ],
)
def test_the_sentence_says_plainly_which_way_it_went(after: dict[str, Any], words: str):
    assert words in sentence(Summary.model_validate(_summary(after=after)), num_accepted=1)


def test_examples_differ_in_category_before_they_are_early_or_clear():
    def branch(category: str, step: int, drop: float) -> BranchRow:
        row = _branch(step, 0, drop) | {"category": category}
        return BranchRow.model_validate(row)

    gate = read_gate(
        [
            branch("T01", 2, 9.0),
            branch("T01", 1, 2.0),
            branch("T01", 1, 3.0),
            branch("T04", 1, 0.5),  # rejected
            branch("T05", 3, 4.0),
        ],
        num_examples=3,
    )
    shown = [(b.category, b.step, b.drop_nats) for b in gate.shown]
    assert shown == [("T01", 1, 3.0), ("T05", 3, 4.0), ("T01", 1, 2.0)]


def test_a_quote_that_stands_twice_marks_the_whole_call_unless_the_finding_says_where(run: RunDir):
    branch = BranchRow.model_validate(_branch(1, 1, 3.37))
    (exact,) = examples(run, [branch])
    run.findings.unlink()
    (vague,) = examples(run, [branch])
    assert exact.turn
    assert vague.turn
    rest = '", "hour": 14, "title": "Thursday"}'
    assert exact.turn.calls[0].arguments == Marked('{"day": "', "Thursday", rest)
    assert vague.turn.calls[0].arguments == Marked("", MISTAKES[1][2])


def test_of_a_long_span_the_most_telling_tokens_are_shown_in_order(run: RunDir):
    tokens = [
        TokenRow(text=f"t{i}", student_p=0.5, teacher_p=0.5, divergence=i % 50) for i in range(60)
    ]
    row = _branch(1, 0, 3.0) | {"tokens": tokens}
    (shown,) = examples(run, [BranchRow.model_validate(row)])
    assert [token.text for token in shown.tokens] == [f"t{i}" for i in range(38, 50)]
    assert shown.student_p == pytest.approx(0.5**60)


def test_a_curve_breaks_where_nothing_was_recorded_and_says_its_last_value(run: RunDir):
    rows = [_metrics(step) for step in range(1, 301)]
    del rows[99]["critic/error_rate"]
    run.metrics.unlink()
    run.append(run.metrics, rows)
    errors, success, *_ = charts(read_inputs(run, 3))
    assert [len(line.split()) for line in errors.lines] == [99, 200]
    assert len(success.lines) == 1
    assert len(success.readouts) == 100
    assert success.readouts[-1].label.startswith("step 300: 8")
    assert [point.name for point in success.held_out] == ["before", "after"]
    assert success.held_out[0].low_y > success.held_out[0].y > success.held_out[0].high_y


def test_a_single_step_makes_charts_as_well(run: RunDir):
    run.metrics.unlink()
    run.append(run.metrics, [_metrics(1)])
    assert [tick.label for tick in charts(read_inputs(run, 3))[0].x_ticks] == ["1"]
    assert "All values as a table" in _written(run)


def test_a_category_found_only_before_has_an_interval_after(run: RunDir):
    side = Side.model_validate(_side(0.1, 0.5, {}))
    assert side.share_of("T05").rate == 0.0
    low, high = side.share_of("T05").interval
    assert low == 0.0
    assert high == pytest.approx(0.00531, abs=1e-5)  # z^2 / (n + z^2), z = 1.96, n = 720


def test_an_unfinished_run_and_a_broken_row_are_named(run: RunDir):
    run.append(run.branches, [{"step": 2}])
    with pytest.raises(DataError, match=r"branches\.jsonl, row 7: trajectory_id: Field required"):
        write_report(run)
    run.summary.unlink()
    with pytest.raises(DataError, match=r"summary\.json: not there"):
        write_report(run)


class _Browser:
    """A headless Chromium, spoken to over its debugging pipe: no port, no driver."""

    def __init__(self, process: subprocess.Popen[bytes], to: IO[bytes], answers: IO[bytes]) -> None:
        self._process, self._to, self._answers = process, to, answers
        self._session: str | None = None
        self.complaints: list[str] = []

    @classmethod
    @contextlib.contextmanager
    def started(cls, path: str, profile: Path) -> Iterator[_Browser]:
        """A browser with one blank page."""
        (their_in, our_out), (our_in, their_out) = os.pipe(), os.pipe()
        flags = "--headless --no-sandbox --disable-gpu --disable-background-networking"
        command = f"exec {path} {flags} --remote-debugging-pipe --user-data-dir={profile}"
        # Chromium reads descriptor 3 and writes 4; the shell puts ours there.
        shell = f"{command} 3<&{their_in} 4>&{their_out} >{profile}.log 2>&1"
        process = subprocess.Popen(["bash", "-c", shell], pass_fds=(their_in, their_out))
        os.close(their_in)
        os.close(their_out)
        with process, os.fdopen(our_out, "wb", 0) as to, os.fdopen(our_in, "rb") as answers:
            browser = cls(process, to, answers)
            try:
                target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
                attached = browser.ask("Target.attachToTarget", targetId=target, flatten=True)
                browser._session = attached["sessionId"]
                yield browser
            finally:
                process.kill()

    def ask(self, method: str, **params: Any) -> Any:
        """Send a command and wait for its result."""
        session = {"sessionId": self._session} if self._session else {}
        request = {"id": 1, "method": method, "params": params, **session}
        self._to.write(json.dumps(request).encode() + b"\0")
        while "id" not in (message := self._next()):
            if message["method"] in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.complaints.append(json.dumps(message["params"]))
        assert "error" not in message, message
        return message["result"]

    def open(self, path: Path, width: int) -> None:
        """Show a file at a width in CSS pixels."""
        for domain in ("Log", "Page", "Runtime"):
            self.ask(f"{domain}.enable")
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Page.navigate", url=path.as_uri())
        while self.value("document.readyState + location.protocol") != "completefile:":
            pass

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives in the page."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def _next(self) -> Any:
        read = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser is gone"
            read += byte
        return json.loads(read)


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1200])
def test_a_browser_shows_the_page_without_overflow_or_complaint(
    run: RunDir, tmp_path: Path, width: int
):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on PATH")
    page = write_report(run)
    with _Browser.started(chromium, tmp_path / "profile") as browser:
        browser.open(page, width)
        browser.value("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert browser.value("document.documentElement.scrollWidth") <= width
        assert browser.value("getComputedStyle(document.querySelector('dl')).display") == "grid"
        assert browser.value("performance.getEntriesByType('resource').length") == 0
        assert browser.complaints == []
