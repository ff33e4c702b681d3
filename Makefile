# Two commands matter: `make demo` and `make up`. `make help` lists the rest.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements/constraints.txt

help: ## List what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | column -t -s $$'\t'

$(VENV)/.workers: requirements/web.in requirements/workers.in requirements/constraints.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Trivium needs Python 3.11 as $(PYTHON); name another with make PYTHON=…"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing requirements into $(VENV) (once; some minutes)…"
	@$(PIP) torch==2.13.0
	@$(PIP) -r requirements/workers.in
	@printf '%s\n' "$(CURDIR)/platform" "$(CURDIR)/workers" > "$$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])')/trivium-source-roots.pth"
	@printf '#!/bin/sh\nexec "%s/python" -m trivium.cli "$$@"\n' "$(CURDIR)/$(BIN)" > $(BIN)/trivium && chmod +x $(BIN)/trivium
	@echo "Compiling what answers on this processor…"
	@$(BIN)/python -c "from inference.decoder.cpu_pass import compile_kernels; compile_kernels()" 2>/dev/null
	@touch $@

$(VENV)/.dev: $(VENV)/.workers requirements/dev.in requirements/ray.in
	@$(PIP) -r requirements/dev.in
	@touch $@

install: $(VENV)/.workers ## Install what the platform needs
install-dev: $(VENV)/.dev ## Install what tests and checks need

demo: $(VENV)/.workers ## Raw text to a trained model on this machine, in minutes (KEEP=1 stays up)
	@$(BIN)/python manage.py demo $(if $(KEEP),--keep)

up: $(VENV)/.workers ## Start the platform on 127.0.0.1 and stay in the foreground
	@$(BIN)/python manage.py up

test: $(VENV)/.dev lint types ## Run every check and every tier that can run here
	@bin/test

lint: $(VENV)/.dev ## ruff, djlint, import-linter, migrations
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/djlint --check --lint templates
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python manage.py makemigrations --check --dry-run

types: $(VENV)/.dev ## mypy, strict
	@$(BIN)/mypy

fmt: $(VENV)/.dev ## Format everything
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .
	@$(BIN)/djlint --reformat --quiet templates

bench: $(VENV)/.dev ## Measure; figures and method in benchmarks/README.md
	@for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

clean: ## Remove caches (never .trivium, which holds your data)
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: help install install-dev demo up test lint types fmt bench clean
