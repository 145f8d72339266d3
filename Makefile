# Every target explains itself: `make help`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 8501
UI ?= 1
BENCH ?= hot_path overhead windows trace_import histograms peers reading report exchange faults kill_nine reference_models sweep explainers_truth explainers_speed page_live page_sessions page_first_screen

.PHONY: help install demo test test-postgres test-all check bench docs words clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 15

install: .venv/installed ## make .venv and install requirements.txt into it

demo: install ## train a reference model, explain it, write a report, serve the page (UI=0: all but serve; PORT=8501)
	@$(BIN)/torchglass demo --port $(PORT) $(if $(filter 0,$(UI)),--no-ui)

test: .venv/installed-dev ## run the whole suite, real-browser tests included
	@scripts/ensure_test_tools
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

test-postgres: .venv/installed-dev ## run the tests of the store on a PostgreSQL server of their own
	@scripts/ensure_test_tools
	@$(BIN)/python tests/postgresql.py
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m postgresql

test-all: .venv/installed-dev ## run the slow sweeps too
	@scripts/ensure_test_tools
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: .venv/installed-dev ## lint, formatting and strict types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@scripts/check_types

bench: .venv/installed-dev ## measure what is claimed, peers side by side, and rewrite benchmarks/results (BENCH="peers" for one)
	@set -e; for name in $(BENCH); do $(BIN)/python benchmarks/$$name.py; done

docs: .venv/installed-dev ## remake the glossary and, from real runs, the pictures of the guide (three minutes)
	@scripts/ensure_test_tools
	@$(BIN)/python scripts/docs/metrics.py
	@$(BIN)/python scripts/docs/screenshots.py

words: .venv/installed-dev ## collect the sentences of the code into torchglass/locale and compile them
	@$(BIN)/python scripts/words.py

clean: ## remove .venv and everything that tools left behind
	@rm -rf .venv benchmarks/.peers-venv .typing build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

.venv/installed: requirements.txt pyproject.toml
	@PYTHON="$(PYTHON)" scripts/make_environment requirements.txt
	@touch $@

.venv/installed-dev: requirements-dev.txt requirements.txt pyproject.toml
	@PYTHON="$(PYTHON)" scripts/make_environment requirements-dev.txt
	@touch .venv/installed $@
