"""The benchmark's rule for one turn: the state is the gold state, the gold answers were seen.

It is ``multi_turn_checker`` of ``bfcl_eval/eval_checker/multi_turn_eval/multi_turn_checker.py`` for
a turn whose earlier turns are gold. Knows nothing of tools or tasks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agentsd.types import Outcome
from agentsd_envs.bfcl.world import World


def graded(
    world: World,
    answers: Sequence[str],
    *,
    gold_world: World,
    gold_answers: Sequence[str],
    num_calls: int,
) -> Outcome:
    """1.0 or 0.0 with the reason. ``answers`` are those of this turn and of all earlier ones.

    A turn without gold calls asks for what cannot be done yet: it is right when the state stayed
    as it was, which the benchmark finds out when it checks the next turn.
    """
    if gold_answers and not num_calls:
        return Outcome(0.0, "no function was called")
    wrong = list(gold_world.differences(world))
    if wrong:
        return Outcome(0.0, f"the final state differs in {', '.join(wrong)}")
    missing = Counter(gold_answers) - Counter(answers)
    if missing:
        return Outcome(0.0, f"{missing.total()} of {len(gold_answers)} gold answers were not seen")
    return Outcome(1.0)
