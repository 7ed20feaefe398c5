# Every target works on a machine that has nothing but Python 3.11 or newer and make; `make help` lists them.
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	if command -v $$p >/dev/null 2>&1 && $$p -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1; \
	then echo $$p; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.PHONY: help demo test test-slow lint format bench clean

help:  ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

demo: $(VENV)/.demo  ## Install into .venv and learn handwritten digits: energax fit digits.
	$(BIN)/energax fit digits

test: $(VENV)/.test  ## Install with the test extras and run the whole test suite but what is marked slow.
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-slow: $(VENV)/.test  ## The tests that are marked slow.
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

lint: $(VENV)/.test  ## Style, types and import layers.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --threads
	$(BIN)/lint-imports

format: $(VENV)/.test  ## Put the code into the common form.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.test  ## Side-by-side benchmarks against peers, each in its own environment under benchmarks/.
	$(BIN)/python benchmarks/run.py

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "energax needs Python 3.11, 3.12 or 3.13 with the venv module; none was found." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e '.[cli]'
	@touch $@

$(VENV)/.test: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e '.[test]'
	@touch $@ $(VENV)/.demo

clean:  ## Remove the environment and caches; runs stay.
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .import_linter_cache
