# Everything a checkout needs, on a machine with Python >= 3.11, pip and make: each target does its own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXAMPLE := .cache/models/example-bert-4l.onnx
MODEL ?=
ARGS ?=
# Two workers or more make the most of few cores; each needs 2 GB.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4

.DEFAULT_GOAL := help
.PHONY: run test test-all check bench format docs help clean

run: $(STAMP) $(if $(MODEL),,$(EXAMPLE)) ## optimise MODEL=path.onnx (default: a 4-layer BERT exported on the spot); ARGS="--threads 2"
	$(BIN)/python -m eqsat.run $(ARGS) "$(or $(MODEL),$(EXAMPLE))"

test: $(STAMP) ## run the tests
	$(PYTEST) $(ARGS)

test-all: $(STAMP) ## run every test, the slow ones too
	$(PYTEST) -m "" $(ARGS)

check: $(STAMP) ## lint, formatting, types, layers, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/check.py

bench: $(STAMP) ## measure against the original and every peer installed; ARGS="--models bert-4l --threads 2"
	$(BIN)/python -m bench.latency $(ARGS)

format: $(STAMP) ## format and repair what can be repaired
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP) ## check the links, flags and examples of the documentation
	$(BIN)/python docs/check.py

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

clean: ## remove the environment, the caches and what was built
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist

$(EXAMPLE): | $(STAMP)
	mkdir -p $(@D)
	$(BIN)/python -m bench.models bert-4l -o $@

# torch comes first and alone: pip then takes the CPU build where one is offered.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[learn,test,bench]"
	touch $@
