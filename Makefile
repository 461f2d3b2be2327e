# `make demo` and `make test` work on a fresh machine with Python 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEEDS ?= 200
# The simulator runs as many seeds as it can in so long, instead of SEEDS of them.
SECONDS ?=
DATA ?=

# Whoever names an interpreter has what the simulator needs installed for it.
ifeq ($(origin PYTHON),file)
SIMULATOR := $(BIN)/python
SIMULATOR_NEEDS := install
else
SIMULATOR := $(PYTHON)
SIMULATOR_NEEDS :=
endif

.PHONY: install format lint types contracts test bench simulate demo lock clean

$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

install: $(VENV)/installed ## the venv, with everything pinned

format: install ## rewrite the sources in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --quiet . || true

lint: install ## formatter check and linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install ## strict types, tests included
	$(BIN)/mypy

contracts: install ## who may import whom
	$(BIN)/lint-imports

test: lint types contracts ## all checks and the fast tests
	$(BIN)/python -m pytest -n 2 -m "not mosquitto and not slow"

bench: install ## benchmarks, as ratios in one run
	$(BIN)/python -m benchmarks

simulate: $(SIMULATOR_NEEDS) ## SEEDS fresh seeds of the lossy simulator, or SECONDS of them
	$(SIMULATOR) -m tests.simulation $(if $(SECONDS),--seconds $(SECONDS),--seeds $(SEEDS))

demo: install ## gateway, broker and devices in one process, over a bad link
	$(BIN)/gateway demo $(if $(DATA),--data "$(DATA)")

lock: ## pin what pyproject.toml asks for, with hashes (needs uv)
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
