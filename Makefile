# Everything a person types here. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo up test lint format bench bench-models clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv from the pinned constraints (once; the others do it by themselves)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1); need 3.11 to 3.13; make PYTHON=python3.12 …" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY) ## Run the shipped pipelines and print one table
	@$(BIN)/factory demo

up: $(READY) ## UI on 127.0.0.1:3000, daemon and MLflow; Ctrl-C stops all
	@$(BIN)/factory up

test: $(READY) ## All tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(READY) ## ruff, mypy, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## Let ruff format and mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(READY) ## Ratios against plain scripts, in one table
	@$(BIN)/python -m benchmarks

bench-models: $(READY) ## What the models reach on public data, over three seeds
	@$(BIN)/python -m benchmarks.models

clean: ## Remove the virtual environment (never the factory's home)
	rm -rf $(VENV)
