"""What pydantic found wrong with a user's input, in one line. Knows nothing of any model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from agentsd.errors import ConfigError

Options = TypeVar("Options", bound=BaseModel)


def first_problem(error: ValidationError) -> str:
    """The first of the problems, as ``key: what is wrong``; without the key where it has none."""
    first = error.errors(include_url=False, include_context=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    return f"{key}: {first['msg']}" if key else first["msg"]


def checked_options(model: type[Options], owner: str, values: Mapping[str, Any]) -> Options:
    """The options of ``owner``, an environment or the like.

    Raises ``ConfigError`` that names the first bad one and all that there are.
    """
    try:
        return model(**values)
    except ValidationError as error:
        known = ", ".join(model.model_fields)
        raise ConfigError(f"{owner}: option {first_problem(error)}; options: {known}") from error
