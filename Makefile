# Two commands on a fresh machine: `make demo` and `make test`. Both make what they need in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH := $(shell grep '^torch==' constraints.txt)
# Processes that share the tests, a file at a time: each runs one thread of torch.
WORKERS ?= 2

.PHONY: demo test format page clean

demo: $(VENV)/.run
	$(BIN)/llmflame profile demo --dtype float32 --device cpu -o demo.llmflame --report demo.html --force

test: $(VENV)/.dev web/node_modules tests/exports/consumers/node_modules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The page's script and style are built from web/ and committed; a test compares them with a fresh build.
page: web/node_modules
	npm --prefix web run build

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# Torch comes first and alone, at the pinned version, so that nothing later asks for a newer one. Which build pip
# takes is its index' choice: the common index for Linux on x86-64 carries the CUDA build, of several gigabytes.
$(VENV)/.run: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install -q "$(TORCH)"
	$(PIP) install -q -c constraints.txt -e ".[run]"
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PIP) install -q -c constraints.txt -e ".[run,dev]"
	@touch $@

web/node_modules: web/package-lock.json
	@if command -v npm >/dev/null; then npm --prefix web ci --no-audit --no-fund --loglevel=error && touch $@; \
	else echo "no npm: the page's bundle is not compared with a fresh build"; fi

# What the tests read exports back with.
tests/exports/consumers/node_modules: tests/exports/consumers/package-lock.json
	@if command -v npm >/dev/null; then npm --prefix tests/exports/consumers ci --no-audit --no-fund --loglevel=error && touch $@; \
	else echo "no npm: exports are not read back by speedscope"; fi

clean:
	rm -rf $(VENV) web/node_modules tests/exports/consumers/node_modules demo.llmflame demo.html .mypy_cache .ruff_cache .pytest_cache
