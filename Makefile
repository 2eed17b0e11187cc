# Everything runs in .venv, which the first target that needs it makes.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test test-quick check format bench clean

.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "agentsd needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

quickstart: .venv/installed  ## train the policy that ships with agentsd; prints where the report is
	n=1; while [ -e runs/quickstart-$$n ]; do n=$$((n + 1)); done; \
	$(BIN)/agentsd quickstart --out runs/quickstart-$$n

test: .venv/installed  ## the whole suite
	$(BIN)/python -m pytest

test-quick: .venv/installed  ## the suite without what takes long
	$(BIN)/python -m pytest -m "not slow"

check: .venv/installed  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/installed
	$(BIN)/python benchmarks/one_pass.py
	$(BIN)/python benchmarks/rollout.py
	$(BIN)/python benchmarks/sandboxes.py
	$(BIN)/python benchmarks/mcp_servers.py

clean:
	rm -rf .venv .pytest_cache .ruff_cache dist build
