# Set-up is part of each command: the environment is made and kept in step with the lock whenever a target needs it.
IN_RANGE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# The first Python that runs and has a version we support; a shim of a version manager may do neither.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
    $$python -c '$(IN_RANGE)' 2>/dev/null && echo $$python && break; done)
UV_VERSION := 0.13.8
VENV := .venv
STATE := .bigdata
# Enters the project's environment: .venv on PATH, Airflow's home and configuration in .bigdata/
ENTER := $(VENV)/bin/bigdata --version >/dev/null || { echo "$(VENV) is broken: moved, or its Python is gone. Run: make clean" >&2; exit 1; }; \
    env="$$($(VENV)/bin/bigdata env)" && eval "$$env"
# Whatever the shell has set: what a target makes is where the next one looks.
export AIRFLOW__BIGDATA__STATE_DIR := $(CURDIR)/$(STATE)
SHELL := /bin/bash
ARGS ?=
# Side by side, a file at a time; ARGS=-n0 is one after the other.
PARALLEL := -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help run test lint format ui down clean lock bench check-python up cluster cluster-down

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(STATE)/airflow/.migrated ## the main job, titanic_etl, on embedded Kafka, S3 and Spark; shows its result
	@$(ENTER) && bigdata local up && bigdata run titanic_etl $(ARGS)

test: $(VENV)/.dev $(STATE)/airflow/.migrated ## all tests that need no cluster
	@$(ENTER) && python -m pytest -m 'not cluster and not soak' $(PARALLEL) $(ARGS)

lint: $(VENV)/.dev ## ruff, mypy
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

format: $(VENV)/.dev ## let ruff format and fix
	@$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .

ui: $(STATE)/airflow/.migrated ## Airflow in the browser, with these DAGs, on this machine
	@$(ENTER) && bigdata ui

up: $(VENV)/.run ## start the embedded Kafka and S3
	@$(ENTER) && bigdata local up

down: ## stop everything that was started
	@if $(VENV)/bin/bigdata --version >/dev/null 2>&1; then $(VENV)/bin/bigdata local down; fi

clean: down ## remove everything the project made, with its data
	rm -rf $(STATE) $(VENV)

bench: $(VENV)/.dev $(STATE)/airflow/.migrated ## side-by-side benchmarks; each prints a ratio
	@$(ENTER) && bigdata local up && for file in bench/*.py; do python $$file || exit 1; done

lock: ## resolve the dependencies anew, and the Spark image's jars
	$(VENV)/bin/uv pip compile -q pyproject.toml --extra local --universal --python-version 3.11 --generate-hashes \
	    --custom-compile-command "make lock" --upgrade -o requirements.lock
	$(VENV)/bin/uv pip compile -q pyproject.toml --extra local --group dev --universal --python-version 3.11 --generate-hashes \
	    --custom-compile-command "make lock" --upgrade -c requirements.lock -o requirements-dev.lock
	@$(MAKE) --no-print-directory $(VENV)/.run # which jars pyspark has itself depends on its version
	$(VENV)/bin/python docker/spark/jars.py --lock $(STATE)/jars/image

PROVIDER ?= current

cluster: ## the whole platform on a cluster: PROVIDER=kind, minikube, eks or current
	@k8s/cluster.sh up $(PROVIDER)

cluster-down: ## remove what `make cluster` made; asks before data goes
	@k8s/cluster.sh down $(PROVIDER)

check-python:
	@$(or $(PYTHON),false) -c '$(IN_RANGE)' 2>/dev/null || { echo "Python 3.11 to 3.13 is needed, found:" \
	    "$$($(or $(PYTHON),python3) --version 2>&1 | head -1). Say which: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }

$(VENV)/bin/uv: | check-python
	@echo "Making the environment in $(VENV) (once)"
	@$(PYTHON) -m venv --clear $(VENV) && $(VENV)/bin/python -m pip install -q uv==$(UV_VERSION)

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/uv
	@echo "Installing from requirements.lock (the first time: about 450 MB, some minutes)"
	@VIRTUAL_ENV=$(VENV) $(VENV)/bin/uv pip install -q --require-hashes -r requirements.lock
	@VIRTUAL_ENV=$(VENV) $(VENV)/bin/uv pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@VIRTUAL_ENV=$(VENV) $(VENV)/bin/uv pip install -q --require-hashes -r requirements-dev.lock
	@touch $@

$(STATE)/airflow/.migrated: $(VENV)/.run
	@echo "Preparing Airflow's database in $(STATE)/airflow"
	@mkdir -p $(STATE)/airflow && $(ENTER) && airflow db migrate > $(STATE)/airflow/migrate.log 2>&1 || \
	    { tail -20 $(STATE)/airflow/migrate.log >&2; exit 1; }
	@touch $@
