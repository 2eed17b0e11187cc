"""The APIs of one episode: run a call, run a gold call, compare with another world.

Calls run in this process: the classes are plain Python that keeps everything in memory and opens
no file or socket. Knows nothing of tasks, turns or tool schemas.
"""

from __future__ import annotations

import ast
import copy
import decimal
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import mpmath

from agentsd.errors import DataError
from agentsd_envs.bfcl.source import Entry

STATELESS = frozenset({"MathAPI"})
"""Has no ``_load_scenario``, as ``STATELESS_CLASSES`` of the package."""

LARGEST: Mapping[str, float] = {
    "base": 1e15,
    "exponent": 10_000,
    "precision": 10_000,
    "decimal_places": 10_000,
}
"""Arguments whose size is the size of the work: a large one would hold the whole process."""


class World:
    """One instance of every API class that a conversation involves."""

    def __init__(self, entry: Entry, classes: Mapping[str, type[Any]]) -> None:
        self._apis: dict[str, Any] = {}
        self._methods: dict[str, Any] = {}
        for name in entry.row.involved_classes:
            api = classes[name]()
            if name not in STATELESS:
                scenario = copy.deepcopy(entry.row.initial_config.get(name, {}))
                api._load_scenario(scenario, long_context=entry.is_long_context)
            self._apis[name] = api
            found = inspect.getmembers(api, inspect.ismethod)
            self._methods |= {each: method for each, method in found if not each.startswith("_")}

    def run(self, name: str, arguments: Mapping[str, Any]) -> str:
        """What the API answers, as text; an exception of the API is text as well.

        The wording is that of ``execute_multi_turn_func_call`` in
        ``bfcl_eval/eval_checker/multi_turn_eval/multi_turn_utils.py``.
        """
        for key, most in LARGEST.items():
            if abs(arguments.get(key, 0)) > most:
                return f"Error during execution: {key} must be at most {most:g}"
        # The mathematics change the precision of the whole process; it is put back.
        with mpmath.workdps(mpmath.mp.dps), decimal.localcontext():
            try:
                return _text(self._methods[name](**arguments))
            except Exception as error:  # noqa: BLE001 - the benchmark shows whatever it is
                return f"Error during execution: {error}"

    def bound(self, gold: str) -> tuple[str, dict[str, Any]]:
        """The name and the arguments of a gold call, positional ones under their names.

        Raises ``DataError`` for what is not a call with literal arguments.
        """
        try:
            call = ast.parse(gold, mode="eval").body
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
                raise TypeError("not a plain call")
            method = self._methods[call.func.id]
            values = [ast.literal_eval(value) for value in call.args]
            named = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
            return call.func.id, inspect.signature(method).bind(*values, **named).arguments
        except (SyntaxError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"bfcl: gold call {gold!r} cannot be read: {error}") from error

    def run_gold(self, gold: Sequence[str]) -> list[str]:
        """The answers to gold calls, in order. Raises ``DataError``."""
        return [self.run(*self.bound(call)) for call in gold]

    def differences(self, other: World) -> Iterator[str]:
        """``Class.attribute`` of every public attribute that differs, as ``state_checker`` does."""
        for name, api in self._apis.items():
            for attribute, value in vars(api).items():
                if not attribute.startswith("_") and _differ(
                    value, getattr(other._apis[name], attribute)
                ):
                    yield f"{name}.{attribute}"


def _differ(one: object, other: object) -> bool:
    try:
        return one != other
    except RecursionError:  # a folder was copied into itself
        return True


def _text(value: object) -> str:
    """As the benchmark writes it: text as it is, an object as JSON, the rest by ``str``."""
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return str(value)
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return str(value)
