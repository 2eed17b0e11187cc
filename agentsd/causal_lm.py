"""What agentsd knows about Hugging Face causal language models, and nothing else does.

Shape suffixes: B sequences, T tokens, D hidden, N selected rows, V vocabulary.
Knows nothing of branches, masks or losses.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedConfig, PreTrainedModel

LOGIT_FACTORS = ("logit_scale", "lm_head_multiplier", "output_multiplier")
"""Options by which some models multiply their logits (Cohere, Falcon-H1, ...)."""
LOGIT_DIVISORS = ("logits_scaling",)
"""Options by which some models divide their logits (Granite)."""
NOT_RESUMABLE = ("bamba", "jamba", "recurrent_gemma")
"""Model types whose recurrent layers start afresh when several tokens continue a state, seen in
transformers 5.23. Shorten as upstream mends them; ``targets.check_empty_hint`` tells."""


def padded(sequences: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Token ids with zeros on the right, which no earlier token can see. Returns shape (B, T)."""
    return pad_sequence(
        [torch.tensor(list(ids), dtype=torch.long, device=device) for ids in sequences],
        batch_first=True,
    )


def decoder(model: PreTrainedModel) -> PreTrainedModel:
    """The language model proper: without head, and without other modalities."""
    found = model.get_decoder()
    # Some models (Llama 4) do not name their decoder in the way that `get_decoder` looks for.
    return model.model if found is model else found


def decoder_config(model: PreTrainedModel) -> PreTrainedConfig:
    """The options of the language model proper."""
    return decoder(model).config


def decode(model: PreTrainedModel, ids_BT: Tensor, **options: Any) -> Any:
    """Run the model up to its head; the output has ``last_hidden_state`` of shape (B, T, D)."""
    return decoder(model)(input_ids=ids_BT, **options)


def hidden_states(model: PreTrainedModel, sequences: Sequence[Sequence[int]]) -> Tensor:
    """A plain forward over a right-padded batch. Returns shape (B, T, D)."""
    ids_BT = padded(sequences, model.device)
    return decode(model, ids_BT, use_cache=False).last_hidden_state


def project(model: PreTrainedModel, hidden_ND: Tensor) -> Tensor:
    """The model's own logits, for the given rows only. Returns shape (N, V).

    Over a large vocabulary this product is what costs, so no other row ever meets the head.
    """
    config, head = decoder_config(model), model.get_output_embeddings()
    assert head is not None, f"{type(model).__name__} has no head that gives logits"
    logits_NV: Tensor = head(hidden_ND)
    for factor in _numbers(config, LOGIT_FACTORS):
        logits_NV = logits_NV * factor
    for divisor in _numbers(config, LOGIT_DIVISORS):
        logits_NV = logits_NV / divisor
    for cap in _numbers(config, ("final_logit_softcapping",)):
        logits_NV = torch.tanh(logits_NV / cap) * cap
    return logits_NV


def attention_windows(config: PreTrainedConfig) -> dict[str, int | None]:
    """How far back each type of layer looks, in tokens; None is all the way.

    A single type means that all layers share one mask.
    """
    window: int | None = getattr(config, "sliding_window", None)
    layer_types: Sequence[str] = getattr(config, "layer_types", None) or ()
    if not layer_types:
        layer_types = ("full_attention" if window is None else "sliding_attention",)
    return {
        kind: window if kind == "sliding_attention" else None for kind in sorted({*layer_types})
    }


def takes_any_mask(model: PreTrainedModel) -> bool:
    """Whether every layer is attention, and takes the 4-D masks that branches need."""
    config = decoder_config(model)
    return (
        # Models written against the attention interface pass a 4-D mask, or one for each type of
        # layer, through to the kernel unchanged. Flash kernels know no such masks.
        bool(getattr(model, "_supports_attention_backend", False))
        and config._attn_implementation in ("eager", "sdpa")
        and set(attention_windows(config)) <= {"full_attention", "sliding_attention"}
    )


def takes_a_cache(model: PreTrainedModel) -> bool:
    """Whether the state after a prefix can be handed in, copied, and continued."""
    inner = decoder(model)
    is_resumable = inner.config.model_type not in NOT_RESUMABLE
    return is_resumable and "past_key_values" in inspect.signature(inner.forward).parameters


def rotates_by_length(config: PreTrainedConfig, longest: int) -> bool:
    """Whether sequences up to ``longest`` tokens do not all see the same rotary embedding.

    LongRoPE and dynamic NTK rotate *every* token by a rule that depends on the length of the whole
    sequence, so beyond the original length a prefix has no state that longer sequences share.
    """
    rope: Mapping[str, Any] = getattr(config, "rope_parameters", None) or {}
    nested = [value for value in rope.values() if isinstance(value, Mapping)]
    for parameters in nested or [rope]:
        limit = parameters.get("original_max_position_embeddings", None)
        limit = limit or getattr(config, "max_position_embeddings", longest)
        if parameters.get("rope_type") in ("longrope", "dynamic") and longest > limit:
            return True
    return False


def is_checkpointing(model: PreTrainedModel) -> bool:
    """Whether the next forward drops activations, and with them the cache."""
    return model.training and bool(_checkpointing_parts(model))


@contextlib.contextmanager
def cache_kept(model: PreTrainedModel) -> Iterator[None]:
    """Suspend gradient checkpointing, for a pass that has no gradient but needs its cache."""
    paused = _checkpointing_parts(model)
    try:
        for part in paused:
            part.gradient_checkpointing = False
        yield
    finally:
        for part in paused:
            part.gradient_checkpointing = True


def _checkpointing_parts(model: PreTrainedModel) -> list[Any]:
    """The modules that drop their activations when they train."""
    return [part for part in model.modules() if getattr(part, "gradient_checkpointing", False)]


def _numbers(config: PreTrainedConfig, names: Sequence[str]) -> list[float]:
    """The options among ``names`` that the model has and that are set."""
    values = (getattr(config, name, None) for name in names)
    return [value for value in values if value is not None]
