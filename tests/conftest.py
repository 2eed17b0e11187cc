"""Fixtures that every test may use. Knows nothing of any one module."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from agentsd.chat import Chat
from agentsd_envs.desk import policy

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def anyio_backend() -> str:
    """The project runs on asyncio only."""
    return "asyncio"


@pytest.fixture
def shared_data() -> Path:
    """Public trajectories that are not part of this repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"public trajectories are not at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def desk_chat() -> Chat:
    """The chat form of the policy that ships with the desk."""
    return Chat.from_tokenizer(AutoTokenizer.from_pretrained(policy()))
