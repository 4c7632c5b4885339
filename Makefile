# Fraud Relay. Needs Python 3.11 (with venv) and make; everything else is installed below var/, once.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

PYTHON := $(shell command -v python3.11 || command -v python3)
UV := var/uv/bin/uv
ENV := var/env
# Caches stay below var/ too, unless you already keep one elsewhere.
export UV_CACHE_DIR ?= $(CURDIR)/var/cache/uv
export HYPOTHESIS_STORAGE_DIRECTORY ?= $(CURDIR)/var/cache/hypothesis
export MPLCONFIGDIR ?= $(CURDIR)/var/cache/matplotlib
export PYTHONPATH := $(CURDIR)

GROUPS := airflow pipeline serving embedded
RUNTIME := $(GROUPS:%=$(ENV)/%/.installed)
TESTABLE := $(GROUPS:%=$(ENV)/%/.testable)
ARCHIVE := var/cache/spark/.made

.PHONY: help demo serve exercises check hint solution reset explore tune ablate handbook bench test test-capstones test-faults up down credentials test-compose lint audit format lock clean install

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUNTIME) $(ARCHIVE) ## the whole line, embedded: DATA=<folder> DAYS=120 CUSTOMERS=1000 SEED=0
	@$(ENV)/embedded/bin/python -m demo

serve: $(RUNTIME) ## the scorer on what the demo left: SCORER_PORT=8000
	@$(ENV)/embedded/bin/python -m demo.serve

exercises: $(TESTABLE) $(ARCHIVE) ## the workshop: every exercise, and how far you are
	@$(ENV)/embedded/bin/python -m exercises list

check: $(TESTABLE) ## checks what you wrote: EXERCISE=point-in-time
	@$(ENV)/embedded/bin/python -m exercises check "$(EXERCISE)"

hint: $(TESTABLE) ## the next hint, of three: EXERCISE=
	@$(ENV)/embedded/bin/python -m exercises hint "$(EXERCISE)"

solution: $(TESTABLE) ## one right answer: EXERCISE=
	@$(ENV)/embedded/bin/python -m exercises solution "$(EXERCISE)"

reset: $(TESTABLE) ## begins an exercise again, keeping a copy of what you wrote: EXERCISE=
	@$(ENV)/embedded/bin/python -m exercises reset "$(EXERCISE)"

explore: $(ENV)/pipeline/.installed ## what the demo's payments say, as a page of pictures: LAKE_URI=var/demo/lake
	@LAKE_URI="$${LAKE_URI:-var/demo/lake}" $(ENV)/pipeline/bin/python -m modeling.explore

# A search keeps its runs in a store of its own, unless MLFLOW_TRACKING_URI names another.
tune: $(ENV)/pipeline/.installed ## search the recipe on the demo's last weeks: FROM=<day> TO=<day> TRIALS=40
	@mkdir -p var/tune
	@LAKE_URI="$${LAKE_URI:-var/demo/lake}" MLFLOW_TRACKING_URI="$${MLFLOW_TRACKING_URI:-sqlite:///var/tune/mlflow.db}" \
	    $(ENV)/pipeline/bin/python -m modeling.tune $(FROM:%=--from %) $(TO:%=--to %) $(TRIALS:%=--trials %)

ablate: $(ENV)/pipeline/.installed ## what each feature adds on the demo's last weeks: FROM=<day> TO=<day>
	@LAKE_URI="$${LAKE_URI:-var/demo/lake}" $(ENV)/pipeline/bin/python -m modeling.ablate $(FROM:%=--from %) $(TO:%=--to %)

# Each environment's tests run in it. All run, whatever fails; TESTS=<paths> picks some.
TESTS ?= tests
TESTS_embedded := tests/demo tests/containers tests/exercises tests/test_imports.py tests/test_images.py tests/test_docs.py
TESTS_airflow := tests/dags
TESTS_serving := tests/serving
TESTS_pipeline := tests/contracts tests/bank tests/spark_jobs tests/modeling tests/benchmarks tests/whole

test: $(TESTABLE) $(ARCHIVE) ## every test that needs no Docker: TESTS=tests/bank for some
	@status=0; \
	run() { \
	    environment=$$1; shift; chosen=(); \
	    for path in "$$@"; do \
	        for wanted in $(TESTS); do \
	            case "$$path/" in "$${wanted%/}"/*) chosen+=("$$path");; *) \
	            case "$$wanted/" in "$$path"/*) chosen+=("$$wanted");; esac;; esac; \
	        done; \
	    done; \
	    [ $${#chosen[@]} -gt 0 ] || return 0; \
	    printf '\n== tests of the environment %s\n' "$$environment"; \
	    $(ENV)/$$environment/bin/python -m pytest "$${chosen[@]}" || status=1; \
	}; \
	run embedded $(TESTS_embedded); \
	run airflow $(TESTS_airflow); \
	run serving $(TESTS_serving); \
	run pipeline $(TESTS_pipeline); \
	exit $$status

test-capstones: $(TESTABLE) ## proves the live exercises, on a copy of what the demo left
	@$(ENV)/embedded/bin/python -m pytest --timeout 1800 tests/capstones

test-faults: $(ENV)/serving/.testable $(ENV)/embedded/.installed $(ENV)/pipeline/.installed ## faults under load: PAYMENTS=100000 OUTAGE_SECONDS=10
	@$(ENV)/serving/bin/python -m pytest --timeout 1800 tests/faults

handbook: $(ENV)/pipeline/.installed ## the published benchmark, side by side: DATA=<folder> START=<day> WEEKS=4
	@$(ENV)/pipeline/bin/python -m benchmarks.handbook

bench: $(RUNTIME) ## the scorer's speed beside its peers, on what the demo left: ROUNDS=5 SECONDS_EACH=4
	@$(ENV)/embedded/bin/python -m benchmarks.scorer

# Docker is needed from here on, and nothing else, but for test-compose, which needs Python 3.11 too.
COMPOSE := docker compose

up: ## the whole line in containers: SCORER_PORT=8000 AIRFLOW_PORT=8080 MLFLOW_PORT=5050 SPARK_PORT=8081
	@$(COMPOSE) up --detach --build --wait || { $(COMPOSE) logs --tail 20 bootstrap scorer replay; exit 1; }
	@echo 'payments are being scored; to watch them: docker compose logs --follow replay; addresses and logins: make credentials'

down: ## stop the containers; what they hold stays (docker compose down --volumes removes it too)
	@$(COMPOSE) down

credentials: ## the containers' addresses and logins, as NAME=value
	@[ -n "$$($(COMPOSE) ps --all --quiet credentials)" ] || { echo 'error: nothing was started: make up' >&2; exit 1; }
	@$(COMPOSE) --progress quiet run --rm --no-deps --no-TTY credentials python -m containers.credentials show

test-compose: $(ENV)/embedded/.testable ## builds the containers, drives them from outside, takes them down
	@$(ENV)/embedded/bin/python -m pytest --timeout 1800 tests/compose

# What checks run, in the environment of their exercise.
CHECKS_OWN := exercises/conftest.py exercises/earlier_champion.py
lint: $(ENV)/lint/.installed $(RUNTIME) $(ENV)/pipeline/.testable $(ENV)/embedded/.testable ## ruff, mypy --strict, the import rule
	$(ENV)/lint/bin/ruff check .
	$(ENV)/lint/bin/ruff format --check .
	$(ENV)/lint/bin/mypy --python-executable $(ENV)/pipeline/bin/python contracts bank spark_jobs modeling benchmarks/handbook \
	    benchmarks/scorer/prepare.py benchmarks/scorer/plain.py $(CHECKS_OWN)
	$(ENV)/lint/bin/mypy --python-executable $(ENV)/serving/bin/python serving benchmarks/scorer/contender.py benchmarks/scorer/load.py
	$(ENV)/lint/bin/mypy --python-executable $(ENV)/embedded/bin/python demo containers benchmarks/scorer/__main__.py \
	    $(filter-out $(CHECKS_OWN),$(wildcard exercises/*.py))
	MYPYPATH=dags $(ENV)/lint/bin/mypy --python-executable $(ENV)/airflow/bin/python dags/fraud_daily.py dags/fraud_training.py
	@$(MAKE) --no-print-directory test TESTS=tests/test_imports.py

audit: $(ENV)/audit/.installed ## known vulnerabilities of what is installed; fails where its public database does not answer
	@status=0; for pins in requirements/*.txt; do echo "$$pins"; \
	    $(ENV)/audit/bin/pip-audit --strict --progress-spinner off --disable-pip --requirement $$pins || status=1; done; exit $$status

format: $(ENV)/lint/.installed ## ruff, mending what it can
	$(ENV)/lint/bin/ruff check --fix .
	$(ENV)/lint/bin/ruff format .

install: $(RUNTIME) $(ARCHIVE) ## the environments, without running anything

# The order matters: `test` is compiled under the pins of all that it is laid over.
LOCK := $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-emit-index-url
lock: $(UV) ## resolve pyproject.toml's groups into requirements/
	for group in $(GROUPS) audit fuzz lint; do $(LOCK) --upgrade --group $$group pyproject.toml -o requirements/$$group.txt; done
	$(LOCK) --upgrade --group test $(GROUPS:%=-c requirements/%.txt) pyproject.toml -o requirements/test.txt

clean: ## remove everything below var/ but what you did in the exercises: environments, caches, the demo's state
	[ ! -d var ] || find var -mindepth 1 -maxdepth 1 ! -name exercises -exec rm -rf {} +

# A target that is a file appears only when its recipe succeeded, so an aborted installation is done again.
$(UV): requirements/uv.txt
	@[ -n "$(PYTHON)" ] && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	    { echo "error: Python 3.11 is needed, and neither python3.11 nor python3 is it" >&2; exit 1; }
	@echo "installing uv"
	@"$(PYTHON)" -m venv --clear var/uv || { echo "error: python3 -m venv failed: install Python's venv module" >&2; exit 1; }
	@var/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

INSTALL = $(UV) pip install --quiet --require-hashes --compile-bytecode --python $(ENV)/$*/bin/python
$(ENV)/%/.installed: requirements/%.txt | $(UV)
	@echo "installing the environment $*"
	@$(UV) venv --quiet --clear --python "$(PYTHON)" $(ENV)/$*
	@$(INSTALL) -r $<
	@touch $@

$(ARCHIVE): $(ENV)/pipeline/.installed $(ENV)/embedded/.installed
	@echo "preparing Spark's start"
	@$(ENV)/embedded/bin/python -m demo.spark_archive
	@touch $@

$(ENV)/serving/.testable: | $(ENV)/fuzz/.installed
$(ENV)/%/.testable: requirements/test.txt $(ENV)/%/.installed
	@echo "adding the test tools to $*"
	@$(INSTALL) -r requirements/test.txt
	@touch $@
