# Everything one does with Isthmus. Needs make and Python 3.11 or newer, nothing else.
# PYTHON=/path/to/python3.12 chooses another interpreter; see scripts/set_up.py for mirrors and proxies.
.DEFAULT_GOAL := help
.PHONY: help set-up demo test check lint unit bench bench-rules soak fuzz lock matrix proto changelog clean

BIN := .venv/bin
PYTEST := $(BIN)/pytest
SET_UP := @PYTHON="$(PYTHON)" scripts/set-up

help:           ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-11s %s\n", $$1, $$2}'

set-up:         ## make .venv with everything in requirements.lock
	$(SET_UP) project

demo: set-up    ## three regions on this machine, one of them killed in the middle
	@$(BIN)/isthmus demo $(ARGS)

test: set-up    ## everything but soak: lint, unit, integration and short end-to-end tests
	$(SET_UP) ministack
	@$(MAKE) --no-print-directory lint
	$(PYTEST) -m "not soak" $(ARGS)

check: set-up   ## lint and unit tests, under a minute
	@$(MAKE) --no-print-directory lint unit

lint: set-up    ## ruff, mypy, import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: set-up    ## unit tests only
	$(PYTEST) -m "not integration and not soak" -n 3 $(ARGS)  # one more than cores: some wait for real time-outs

bench: set-up   ## crossings per second beside NATS JetStream; writes build/bench.json
	$(BIN)/python -m benchmarks $(ARGS)

bench-rules: set-up ## what a filter costs, beside other engines; writes build/bench-rules.json
	$(BIN)/python -m benchmarks.rules $(ARGS)

soak: set-up    ## what must run for minutes: kills under load; seeds are printed
	$(SET_UP) ministack proto
	scripts/proto --check
	$(PYTEST) -m soak -s --timeout=0
	$(BIN)/python -m tests.e2e.crossing $(ARGS)

fuzz: set-up    ## every parser for a minute; ARGS="--seconds 600 --targets cel lens", --list
	$(BIN)/python -m tests.fuzz $(ARGS)

lock:           ## resolve requirements.lock anew (ARGS=--upgrade for the newest versions)
	$(SET_UP) lock
	scripts/lock $(ARGS)

matrix:         ## does it resolve from wheels alone on every supported Python?
	$(SET_UP) lock
	scripts/lock --matrix

proto:          ## regenerate the protobuf stubs
	$(SET_UP) proto
	scripts/proto $(ARGS)

changelog:      ## what changelog.d/ will become
	$(BIN)/towncrier build --draft

clean:          ## remove the environments and everything that was built
	rm -rf .venv .venv-* build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find gateway connectors federation tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +
