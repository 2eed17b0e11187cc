"""Prompts grow by appending, and say what the whole conversation rendered at once would say."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from agentsd.chat import Chat
from agentsd.errors import ConfigError, TokenError
from agentsd.sampling import Completion
from agentsd.template import template_messages
from agentsd.tokenlog import LogBuilder
from agentsd.types import Message, Role, ToolCall, ToolSpec

TEMPLATES = Path(__file__).parent / "templates"

SPECIAL_TOKENS = {
    "qwen2.5": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "qwen3": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "llama3.1": [
        "<|begin_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<|python_tag|>",
    ],
    "mistral-v3": [
        "<s>",
        "</s>",
        "[INST]",
        "[/INST]",
        "[AVAILABLE_TOOLS]",
        "[/AVAILABLE_TOOLS]",
        "[TOOL_CALLS]",
        "[TOOL_RESULTS]",
        "[/TOOL_RESULTS]",
    ],
    "gemma": ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"],
    "glm4.5": [
        "<|endoftext|>",
        "[gMASK]",
        "<sop>",
        "<|system|>",
        "<|user|>",
        "<|assistant|>",
        "<|observation|>",
    ],
}

WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Llama 3 and Qwen tokenizers split text, line breaks together."""

END = {
    "qwen2.5": "<|im_end|>",
    "qwen3": "<|im_end|>",
    "llama3.1": "<|eot_id|>",
    "mistral-v3": "</s>",
    "gemma": "<end_of_turn>",
}

FIND = ToolSpec(
    "find",
    "Find a file.",
    {"type": "object", "properties": {"q": {"type": "string"}, "n": {"type": "integer"}}},
)

ASK = [Message("system", "Be brief."), Message("user", "Where is the café? 😀")]


def make_tokenizer(family: str, **attributes: Any) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with the family's special tokens and chat template."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL_TOKENS[family],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    corpus = '{"name": "find", "arguments": {"q": "the cat"}}\n\n\n<tool_call>\n</tool_call>\n'
    backend.train_from_iterator([corpus, "questions"] * 3, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=SPECIAL_TOKENS[family][0],
        eos_token=attributes.pop("eos_token", SPECIAL_TOKENS[family][1]),
        **attributes,
    )
    tokenizer.chat_template = template_text(family)
    return tokenizer


def template_text(family: str) -> str:
    return (TEMPLATES / f"{family}.jinja").read_text()


def make_chat(family: str, **options: Any) -> Chat:
    """The family as its users would load it, with the stop ids of its generation config."""
    names = {"llama3.1": ["<|eom_id|>"], "glm4.5": ["<|user|>", "<|observation|>"]}
    tokenizer = make_tokenizer(family)
    special = {token.content: number for number, token in tokenizer.added_tokens_decoder.items()}
    stop_ids = [special[name] for name in names.get(family, [])]
    form = "hermes" if family == "gemma" else None
    return Chat.from_tokenizer(tokenizer, form, stop_ids=stop_ids, template_options=options)


def ids_of(chat: Chat, text: str) -> tuple[int, ...]:
    return chat.template.encode(text)


def text_of(chat: Chat, ids: tuple[int, ...]) -> str:
    return chat.template.backend.decode(list(ids), skip_special_tokens=False)


def full_rendering(chat: Chat, messages: list[Message], tools: list[ToolSpec]) -> tuple[int, ...]:
    """What a program without a token log would send: everything, rendered again."""
    short_ids = chat.tool_form == "mistral"
    calls_known = template_messages(messages, short_ids=short_ids)
    return ids_of(chat, chat.template.render(calls_known, tools))


class Conversation:
    """Plays an episode twice: append-only in tokens, and as plain messages."""

    def __init__(self, chat: Chat, messages: list[Message], tools: list[ToolSpec]) -> None:
        self.chat, self.tools = chat, tools
        self.messages = list(messages)
        self.log = LogBuilder()
        self.log.add_prompt(chat.open(messages, tools))

    def say(self, text: str, *replies: str, user: str | None = None) -> tuple[ToolCall, ...]:
        """The policy samples ``text``; tools and the user answer."""
        ids = ids_of(self.chat, text)
        turn = self.log.num_turns
        self.log.add_turn(self.chat.header(), Completion(ids, (-0.1,) * len(ids), "stop", "v0"))
        read = self.chat.read(ids, turn, self.tools)
        message = Message("assistant", read.content, read.tool_calls, reasoning=read.reasoning)
        new = [
            Message("tool", reply, tool_call_id=call.id)
            for reply, call in zip(replies, read.tool_calls, strict=True)
        ]
        new += [Message("user", user)] if user else []
        self.messages += [message, *new]
        stopped = self.chat.ends_with_stop(ids)
        self.log.add_prompt(self.chat.suffix(stopped, new, read.tool_calls, self.tools))
        return read.tool_calls

    def prompt(self) -> tuple[int, ...]:
        return self.log.prompt(self.chat.header())


def hermes_call(**arguments: Any) -> str:
    pairs = ", ".join(
        f'"{key}": {value if isinstance(value, int) else chr(34) + value + chr(34)}'
        for key, value in arguments.items()
    )
    return f'<tool_call>\n{{"name": "find", "arguments": {{{pairs}}}}}\n</tool_call>'


# --- the classic drift: appended prompts against prompts rendered anew ---------------------------


def test_chatml_prompts_that_grow_equal_prompts_rendered_anew():
    talk = Conversation(make_chat("qwen2.5"), ASK, [FIND])
    assert talk.prompt() == full_rendering(talk.chat, talk.messages, [FIND])
    talk.say(f"Looking.\n{hermes_call(q='café', n=2)}<|im_end|>", '["a 😀"]')
    assert talk.prompt() == full_rendering(talk.chat, talk.messages, [FIND])
    talk.say(f"{hermes_call(q='x')}\n{hermes_call(q='y')}<|im_end|>", "one", "two")
    assert talk.prompt() == full_rendering(talk.chat, talk.messages, [FIND])
    talk.say("In Oslo.<|im_end|>", user="Thanks! And the bar?")
    assert talk.prompt() == full_rendering(talk.chat, talk.messages, [FIND])
    assert talk.log.num_turns == 3


def test_qwen3_prompts_that_grow_equal_prompts_rendered_anew_until_the_user_speaks():
    talk = Conversation(make_chat("qwen3"), ASK, [FIND])
    talk.say(f"<think>\nA file.\n</think>\n\n{hermes_call(q='x')}<|im_end|>", "one")
    talk.say(
        f"<think>\nMore.\n</think>\n\nSo:\n{hermes_call(q='y')}\n{hermes_call(q='z')}<|im_end|>",
        "two",
        "three",
    )
    assert talk.prompt() == full_rendering(talk.chat, talk.messages, [FIND])


def test_a_template_that_drops_old_thoughts_cannot_touch_recorded_ones():
    talk = Conversation(make_chat("qwen3"), ASK, [FIND])
    talk.say(f"<think>\nA file.\n</think>\n\n{hermes_call(q='x')}<|im_end|>", "one")
    before = talk.prompt()
    talk.say("<think>\nFound.\n</think>\n\nIn Oslo.<|im_end|>", user="And the bar?")
    assert talk.prompt()[: len(before)] == before
    text = text_of(talk.chat, talk.prompt())
    assert "A file." in text
    assert "Found." in text
    assert text.endswith(
        "<|im_end|>\n<|im_start|>user\nAnd the bar?<|im_end|>\n<|im_start|>assistant\n"
    )
    anew = full_rendering(talk.chat, talk.messages, [FIND])
    assert "A file." not in text_of(talk.chat, anew)


def test_llama_prompts_that_grow_equal_prompts_rendered_anew():
    talk = Conversation(make_chat("llama3.1"), ASK, [FIND])
    talk.say('{"name": "find", "parameters": {"q": "caf\u00e9"}}<|eot_id|>', 'a "quoted" 😀')
    assert talk.prompt() == full_rendering(talk.chat, talk.messages, [FIND])
    talk.say("In Oslo.<|eot_id|>", user="And the bar?")
    talk.say('{"name": "find", "parameters": {"n": 3}}<|eot_id|>', "two")
    assert talk.prompt() == full_rendering(talk.chat, talk.messages, [FIND])


def test_a_template_for_single_calls_still_takes_the_results_of_two():
    talk = Conversation(make_chat("llama3.1"), ASK, [FIND])
    call = '{"name": "find", "parameters": {}}'
    talk.say(f"{call}; {call}<|eot_id|>", "one", "two")
    result = "<|start_header_id|>ipython<|end_header_id|>\n\n{}<|eot_id|>"
    header = "<|start_header_id|>assistant<|end_header_id|>\n\n"
    appended = result.format('"one"') + result.format('"two"') + header
    assert text_of(talk.chat, talk.prompt()).endswith(f"{call}<|eot_id|>{appended}")
    with pytest.raises(ConfigError, match="single tool-calls"):
        full_rendering(talk.chat, talk.messages, [FIND])


def mistral_call(turn: int, *queries: str) -> str:
    """The calls as the template writes them, with the ids it is given."""
    calls = tuple(
        ToolCall(f"call_{turn}_{index}", "find", "", {"q": query})
        for index, query in enumerate(queries)
    )
    rendered = template_messages([Message("assistant", "", calls)], short_ids=True)
    items = [
        f'{{"name": "find", "arguments": {{"q": "{query}"}}, "id": "{call["id"]}"}}'
        for query, call in zip(queries, rendered[0]["tool_calls"], strict=True)
    ]
    return f"[TOOL_CALLS] [{', '.join(items)}]</s>"


def test_mistral_prompts_that_grow_equal_prompts_rendered_anew():
    # The template moves a system prompt to the last user message, so there is none here.
    talk = Conversation(make_chat("mistral-v3"), ASK[1:], [FIND])
    assert talk.chat.header() == ()
    talk.say(mistral_call(0, "x", "y"), "one", "two")
    assert talk.prompt() == full_rendering(talk.chat, talk.messages, [FIND])
    talk.say(mistral_call(1, "z"), "three")
    assert talk.prompt() == full_rendering(talk.chat, talk.messages, [FIND])


def test_mistral_repeats_the_tools_before_a_new_user_message():
    talk = Conversation(make_chat("mistral-v3"), ASK[1:], [FIND])
    talk.say(" In Oslo.</s>", user="And the bar?")
    text = text_of(talk.chat, talk.prompt())
    assert text.count("[AVAILABLE_TOOLS]") == 2
    assert text.endswith("[/AVAILABLE_TOOLS][INST] And the bar?[/INST]")


def test_gemma_prompts_that_grow_equal_prompts_rendered_anew():
    talk = Conversation(make_chat("gemma"), ASK[1:], [])
    talk.say("In Oslo.<end_of_turn>", user="And the bar?")
    talk.say("There too.<end_of_turn>", user="Why?")
    assert talk.prompt() == full_rendering(talk.chat, talk.messages, [])


def test_glm_turns_end_with_the_marker_of_whoever_speaks_next():
    talk = Conversation(make_chat("glm4.5"), ASK, [FIND])
    pair = "<arg_key>q</arg_key>\n<arg_value>x</arg_value>\n"
    call = f"<tool_call>find\n{pair}</tool_call>"
    talk.say(f"\n<think></think>\nLooking.\n{call}\n{call}<|observation|>", "one", "two")
    talk.say("\n<think></think>\nIn Oslo.<|user|>", user="And the bar?")
    assert talk.prompt() == full_rendering(talk.chat, talk.messages, [FIND])


def test_whatever_was_sampled_stays_as_it_was_sampled():
    chat = make_chat("qwen2.5")
    talk = Conversation(chat, ASK, [FIND])
    letters = [i for letter in "Oslo." for i in ids_of(chat, letter)]
    odd = Completion((*letters, *ids_of(chat, "<|im_end|>")), (-1.0,) * 6, "stop", "v0")
    talk.log.add_turn(chat.header(), odd)
    talk.log.add_prompt(chat.suffix(True, [Message("user", "Why?")], (), [FIND]))
    log = talk.log.log()
    assert log.ids[log.sampled_span(0).start :][: len(odd.ids)] == odd.ids


# --- what follows a turn -------------------------------------------------------------------------


def test_the_rest_of_the_ending_is_appended_after_the_sampled_stop_token():
    chat = make_chat("qwen2.5")
    new = [Message("user", "Why?")]
    expected = "\n<|im_start|>user\nWhy?<|im_end|>\n"
    assert text_of(chat, chat.suffix(True, new, (), [])) == expected
    assert text_of(chat, chat.suffix(True, [], (), [])) == "\n"


@pytest.mark.parametrize("family", END)
def test_a_turn_cut_by_length_is_ended_first(family: str):
    chat = make_chat(family)
    new = [Message("user", "Why?")]
    stopped, cut = chat.suffix(True, new, (), []), chat.suffix(False, new, (), [])
    assert cut == (*ids_of(chat, END[family]), *stopped)


def test_the_name_and_id_of_the_call_reach_the_template():
    tokenizer = make_tokenizer("qwen2.5")
    tokenizer.chat_template = template_text("qwen2.5").replace(
        "message.content + '\\n</tool_response>'",
        "message.name + message.tool_call_id + '\\n</tool_response>'",
    )
    chat = Chat.from_tokenizer(tokenizer)
    call = ToolCall("call_4_0", "find", '{"q": ', None, "truncated")
    suffix = chat.suffix(True, [Message("tool", "bad call")], [call], [FIND])
    assert "findcall_4_0" in text_of(chat, suffix)


def test_a_message_that_contains_the_words_of_the_dummy_turn_confuses_nothing():
    chat = make_chat("qwen2.5")
    new = [Message("user", "turn0ends turn1ends question<|im_end|>")]
    expected = "\n<|im_start|>user\nturn0ends turn1ends question<|im_end|><|im_end|>\n"
    assert text_of(chat, chat.suffix(True, new, (), [])) == expected


def test_rendering_a_recorded_turn_again_is_an_error():
    chat = make_chat("qwen2.5")
    with pytest.raises(TokenError, match="re-rendering a recorded turn is an error"):
        chat.suffix(True, [Message("assistant", "Hello.")], (), [])


def test_an_answer_to_no_call_is_an_error():
    chat = make_chat("qwen2.5")
    with pytest.raises(TokenError, match="2 tool messages answer 1 calls"):
        chat.suffix(True, [Message("tool", "a")] * 2, [ToolCall("call_0_0", "f", "{}", {})], [])


def test_a_template_without_tool_messages_says_so():
    chat = make_chat("gemma")
    call = ToolCall("call_0_0", "f", "{}", {})
    with pytest.raises(
        ConfigError, match=r"refuses the roles \(user, assistant, tool\).*alternate"
    ):
        chat.suffix(True, [Message("tool", "a")], [call], [])


# --- hints ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "role", "after"),
    [
        ("qwen2.5", "user", "user"),
        ("qwen2.5", "user", "tool"),
        ("qwen2.5", "system", "tool"),
        ("qwen2.5", "tool", "user"),
        ("qwen2.5", "user", "assistant"),
        ("qwen3", "user", "tool"),
        ("llama3.1", "user", "tool"),
        ("llama3.1", "tool", "tool"),
        ("llama3.1", "system", "user"),
        ("gemma", "user", "assistant"),
        ("glm4.5", "user", "tool"),
        ("mistral-v3", "tool", "tool"),
    ],
)
def test_inserting_a_hint_equals_rendering_the_conversation_with_it(
    family: str, role: Role, after: Role
):
    chat = make_chat(family)
    call = ToolCall("call_0_0", "find", "{}", {})
    history = {
        "user": [Message("user", "Hi")],
        "assistant": [Message("user", "Hi"), Message("assistant", "Hello")],
        "tool": [
            Message("user", "Hi"),
            Message("assistant", "", (call,)),
            Message("tool", "found", tool_call_id=call.id),
        ],
    }[after]
    hint_text = 'Only "find" exists; see the café list.\nNo 😀.'
    hint = chat.hint(hint_text, role, after)
    plain = full_rendering(chat, history, [])
    at = len(plain) - len(chat.header())
    message = Message(role, hint_text, tool_call_id="hint" if role == "tool" else None)
    assert (*plain[:at], *hint, *plain[at:]) == full_rendering(chat, [*history, message], [])


def test_a_hint_at_the_start_of_a_turn_is_what_the_template_would_have_written():
    talk = Conversation(make_chat("qwen2.5"), ASK, [FIND])
    talk.say(f"{hermes_call(q='x')}<|im_end|>", "one")
    with_hint = full_rendering(talk.chat, [*talk.messages, Message("user", "Search y.")], [FIND])
    talk.say("In Oslo.<|im_end|>")
    log = talk.log.log()
    at = log.turns[1].start
    hinted = (*log.ids[:at], *talk.chat.hint("Search y.", "user", "tool"), *log.ids[at:])
    assert hinted[: len(with_hint)] == with_hint


@pytest.mark.parametrize(
    ("family", "role", "after", "reason"),
    [
        ("gemma", "user", "user", "must alternate.*try hint role system or tool"),
        ("mistral-v3", "user", "user", "must alternate.*try hint role tool"),
        ("mistral-v3", "user", "tool", "must alternate.*try hint role tool"),
        ("qwen2.5", "tool", "tool", "change what stands before.*try hint role user or system"),
    ],
)
def test_a_template_that_cannot_take_the_hint_there_says_what_it_can_take(
    family: str, role: Role, after: Role, reason: str
):
    with pytest.raises(ConfigError, match=reason) as error:
        make_chat(family).hint("Search y.", role, after)
    assert "\n" not in str(error.value)


def test_a_template_that_shows_an_old_turn_otherwise_still_takes_a_hint():
    # With a new user message the dummy turn loses its empty thought; recorded turns cannot.
    tokenizer = make_tokenizer("qwen3")
    tokenizer.chat_template = template_text("qwen3").replace("(loop.last or thought)", "true")
    chat = Chat.from_tokenizer(tokenizer)
    hint = chat.hint("Search y.", "user", "tool")
    assert text_of(chat, hint) == "<|im_start|>user\nSearch y.<|im_end|>\n"


def test_a_template_that_would_leave_the_hint_out_is_refused():
    tokenizer = make_tokenizer("qwen2.5")
    tokenizer.chat_template = template_text("qwen2.5").replace(
        "(message.role == 'system' and not loop.first)", "false"
    )
    with pytest.raises(ConfigError, match="leave the hint out"):
        Chat.from_tokenizer(tokenizer).hint("Search y.", "system", "tool")


def test_a_hint_whose_tokens_would_merge_with_its_surroundings_is_refused():
    tokenizer = make_tokenizer("qwen2.5")
    tokenizer.chat_template = (
        "{# <tool_call> #}{% for m in messages %}{{ m.content }}"
        "{% if m.role == 'assistant' %}<|im_end|>{% endif %}{% endfor %}"
    )
    chat = Chat.from_tokenizer(tokenizer)
    assert len(ids_of(chat, "questions")) == 1
    with pytest.raises(ConfigError, match="tokens would merge"):
        chat.hint("s", "user", "user")


# --- reading a tokenizer -------------------------------------------------------------------------


def test_a_turn_ends_with_what_the_template_writes_then_eos_then_what_is_given():
    tokenizer = make_tokenizer("qwen2.5", eos_token="<|endoftext|>")
    chat = Chat.from_tokenizer(tokenizer, stop_ids=[7, 0])
    assert chat.stop_ids == (2, 0, 7)


@pytest.mark.parametrize(
    ("family", "form"),
    [
        ("qwen2.5", "hermes"),
        ("llama3.1", "llama3_json"),
        ("mistral-v3", "mistral"),
        ("glm4.5", "glm"),
    ],
)
def test_the_template_tells_the_tool_call_form(family: str, form: str):
    assert make_chat(family).tool_form == form


def test_a_template_that_teaches_no_form_is_refused_unless_one_is_named():
    tokenizer = make_tokenizer("gemma", name_or_path="models/gemma")
    with pytest.raises(ConfigError, match=r"models/gemma.*no tool-call form"):
        Chat.from_tokenizer(tokenizer)
    with pytest.raises(ConfigError, match="'hermse'"):
        Chat.from_tokenizer(tokenizer, "hermse")


def test_a_tokenizer_without_a_chat_template_is_refused_by_path():
    tokenizer = make_tokenizer("qwen2.5", name_or_path="models/base")
    tokenizer.chat_template = None
    with pytest.raises(ConfigError, match=r"models/base: no chat template; use an instruction"):
        Chat.from_tokenizer(tokenizer)


def test_a_template_that_hides_the_tools_is_refused():
    chat = make_chat("gemma")
    with pytest.raises(ConfigError, match="does not show the tools"):
        chat.open(ASK[1:], [FIND])


def test_a_slow_tokenizer_is_refused():
    with pytest.raises(ConfigError, match=r"save it as tokenizer\.json"):
        Chat.from_tokenizer(object())


def test_template_options_reach_the_template():
    chat = make_chat("qwen3", enable_thinking=False)
    assert text_of(chat, chat.header()).endswith("assistant\n<think>\n\n</think>\n\n")


def test_a_turn_whose_thought_the_header_opened_is_read_as_one():
    chat = make_chat("qwen3", open_thinking=True)
    read = chat.read(ids_of(chat, "A file.\n</think>\n\nIn Oslo.<|im_end|>"), 0)
    assert (read.reasoning, read.content) == ("A file.", "In Oslo.")


def test_spans_of_a_call_lead_to_its_tokens():
    chat = make_chat("qwen2.5")
    ids = ids_of(chat, f"Looking 😀.\n{hermes_call(q='café')}<|im_end|>")
    text_map = chat.text_map(ids)
    assert text_map.text == chat.text_of(ids)
    assert not text_map.text.endswith("<|im_end|>")
    spans = chat.read(ids, 0).tool_calls[0].spans
    assert spans is not None
    assert spans.arguments is not None
    tokens = text_map.tokens_of(spans.arguments)
    assert '{"q": "café"}' in text_of(chat, ids[tokens.start : tokens.stop])


def shows_tools(desk_chat: Chat, behind: str) -> Chat:
    """The desk's chat form with a template that writes ``behind`` after every tool message."""
    tokenizer = copy.deepcopy(desk_chat.template.tokenizer)
    source = desk_chat.template.source()
    header = "{%- if add_generation_prompt %}"
    end = "{%- if messages[-1].role == 'tool' %}" + behind + "{% endif %}\n"
    tokenizer.chat_template = source.replace(header, end + header)
    return Chat.from_tokenizer(tokenizer)


@pytest.mark.parametrize(
    ("behind", "matter"),
    [
        ("", False),
        ("{{ messages[-1].content | length }}", False),
        ("{% for tool in tools %}{{ tool.function.name }} {% endfor %}", True),
    ],
)
def test_what_follows_a_turn_is_the_same_whether_or_not_the_tools_are_rendered(
    desk_chat: Chat, behind: str, matter: bool
) -> None:
    chat = shows_tools(desk_chat, behind)
    tools = [ToolSpec("look", "Look.", {"type": "object", "properties": {}})]
    calls = [ToolCall("c", "look", "{}", {})]
    for text in ("a result", "another, longer <result>", ""):
        replies = [Message("tool", text, tool_call_id="c")]
        found = chat.suffix(True, replies, calls, tools)
        whole, stop_id = chat._text_behind_turn(replies, calls, tools)
        assert (stop_id, *found) == chat.template.encode(whole)
        assert ("look" in chat.template.tokenizer.decode(found)) is matter
