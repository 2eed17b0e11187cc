"""Recipes: what is refused, how it is said, and that overrides and round trips work."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentsd.config import dump_recipe, load_recipe
from agentsd.errors import ConfigError

SMALL = '[policy]\nmodel = "desk"\n[env]\nname = "desk"\n'


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(SMALL)
    return path


def test_an_unknown_key_is_refused_with_file_and_key(recipe: Path) -> None:
    recipe.write_text(SMALL + "[train]\nstesp = 5\n")
    with pytest.raises(ConfigError, match=r"recipe\.toml: train\.stesp: Extra inputs"):
        load_recipe(recipe)


def test_an_override_with_an_unknown_key_is_refused(recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.stesp"):
        load_recipe(recipe, ["train.stesp=5"])


def test_overrides_are_toml_values_and_plain_words_are_strings(recipe: Path) -> None:
    loaded = load_recipe(
        recipe, ["train.steps=7", "train.lr=2e-4", "policy.model=/a/b", "env.options.levels=[1]"]
    )
    assert (loaded.train.steps, loaded.train.lr) == (7, 2e-4)
    assert loaded.policy.model == "/a/b"
    assert loaded.env.options == {"levels": [1]}


@pytest.mark.parametrize("override", ["steps", "steps=3", "train.=3", "policy.model.x=3"])
def test_an_override_of_another_form_is_refused(recipe: Path, override: str) -> None:
    with pytest.raises(ConfigError, match="override"):
        load_recipe(recipe, [override])


def test_a_value_out_of_range_names_the_key(recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.steps: Input should be greater than 0"):
        load_recipe(recipe, ["train.steps=0"])


def test_a_missing_file_and_broken_toml_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the recipe"):
        load_recipe(tmp_path / "absent.toml")
    (tmp_path / "broken.toml").write_text("[train\n")
    with pytest.raises(ConfigError, match="not a TOML file") as caught:
        load_recipe(tmp_path / "broken.toml")
    assert "\n" not in str(caught.value)


def test_a_dumped_recipe_loads_as_itself(recipe: Path, tmp_path: Path) -> None:
    loaded = load_recipe(recipe, ["train.seed=3"])
    (tmp_path / "resolved.toml").write_text(dump_recipe(loaded))
    assert load_recipe(tmp_path / "resolved.toml") == loaded


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[1].glob("recipes/*/*.toml")))
def test_every_shipped_recipe_loads(path: Path) -> None:
    assert load_recipe(path).train.steps > 0
