"""Which argument values can only have been read, not thought up. Knows nothing of trajectories."""

from __future__ import annotations

import re

MAX_LENGTH = 128

LARGEST_PLAIN_NUMBER = 31
"""Up to here a number is a count, a day or an hour, never an id."""

EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
PATH = re.compile(r"(?:~|\.{1,2}|[A-Za-z]:|\w+:/)?[/\\]\S+|[\w.-]+(?:/[\w.-]+)*/[\w-]+\.\w{1,8}")
IDENTIFIER = re.compile(r"[#@]?\w[\w.:#@-]*")

DATE_OR_TIME = re.compile(
    r"(?:\d{4}[-/.]\d{1,2}(?:[-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}(?:[-/.]\d{2,4})?)?"
    r"[Tt]?(?:\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?(?:[Zz]|[+-]\d{2}:?\d{2})?"
)
YEAR_OR_DAY = re.compile(r"(?:19|20)\d{2}(?:(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))?")
QUANTITY = re.compile(r"[+-]?\d+(?:[.,]\d+)+|[+-]?\d+(?:[.,]\d+)*(?:%|[A-Za-z]{1,5})")

COMMON_NAME = re.compile(
    r"utf-?(?:8|16|32)|latin-?1|iso-8859-1|base64|md5|sha-?\d+|python[23]|mp[34]|h26[45]|http2"
    r"|ipv[46]|oauth2|x86(?:[_-]64)?|arm64",
    re.IGNORECASE,
)
"""Names with digits that everybody knows."""

FREE_FORM = re.compile(
    r"expression|formula|query|q|code|command|cmd|script|regex|pattern|text|content|message|body"
    r"|title|subject|description|comment|summary|reason|thought|note|prompt|question|answer"
)
"""Arguments, by the last word of their name, in which the policy writes its own words."""

ID_NAME = re.compile(r"ids?|number|code|key|ref|reference|account|phone|zip|isbn")
"""Arguments, by the last word of their name, in which a JSON number is an id."""

WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


def is_id_like(name: str, value: object) -> bool:
    """Whether the value of the argument ``name`` must have been read somewhere.

    Emails, paths and single tokens with a digit are; free text, dates, times, quantities, numbers
    up to 31 and well-known names are not. A JSON number is only where the argument's name says so.

    >>> values = ("c-100", "mia@example.org", "two words 22", "2024-05-20", "10am", "7", "utf-8")
    >>> [value for value in values if is_id_like("to", value)]
    ['c-100', 'mia@example.org']
    >>> is_id_like("amount", 4821), is_id_like("order_id", 4821)
    (False, True)
    """
    last = "".join(WORDS.findall(name)[-1:]).lower()
    if isinstance(value, int) and not isinstance(value, bool):
        return ID_NAME.fullmatch(last) is not None and value > LARGEST_PLAIN_NUMBER
    if FREE_FORM.fullmatch(last) or not isinstance(value, str):
        return False
    return _is_id_text(value.strip())


def is_path_like(text: str) -> bool:
    """Whether the text is a file path or a URL.

    >>> [is_path_like(text) for text in ("src/main.py", "/etc/hosts", "and/or")]
    [True, True, False]
    """
    return PATH.fullmatch(text) is not None


def _is_id_text(text: str) -> bool:
    if not text or len(text) > MAX_LENGTH or COMMON_NAME.fullmatch(text):
        return False
    if EMAIL.fullmatch(text) or is_path_like(text):
        return True
    if not any(char.isdecimal() for char in text) or not IDENTIFIER.fullmatch(text):
        return False
    if text.isdecimal():
        return int(text) > LARGEST_PLAIN_NUMBER and not YEAR_OR_DAY.fullmatch(text)
    return not (DATE_OR_TIME.fullmatch(text) or QUANTITY.fullmatch(text))
