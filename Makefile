# Fraud Relay. Needs Python 3.11 to 3.13 (with venv) and make; everything else is installed under var/, once.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

# PYTHON=<name or path> chooses the Python of the environments. The default is the one used last; the first time, the
# newest supported one.
PYTHON ?=
FIND_PYTHON := requirements/find_python.sh
UV := var/uv/bin/uv
ENV := var/env
# Caches are under var/ too, unless these variables are set already.
export UV_CACHE_DIR ?= $(CURDIR)/var/cache/uv
export HYPOTHESIS_STORAGE_DIRECTORY ?= $(CURDIR)/var/cache/hypothesis
export MPLCONFIGDIR ?= $(CURDIR)/var/cache/matplotlib
export PYTHONPATH := $(CURDIR)
# These would steer Bash, Python and pip while they install.
unexport BASH_ENV CDPATH PYTHONHOME PYTHONINSPECT PYTHONOPTIMIZE PYTHONPLATLIBDIR PYTHONSAFEPATH PYTHONSTARTUP PYTHONUSERBASE \
    PYTHONWARNINGS PIP_PREFIX PIP_TARGET PIP_USER VIRTUAL_ENV UV_SYSTEM_PYTHON
# What make starts gets an environment of the pipeline's own: `python $(OWN) -m demo`. Installing keeps the shell's, proxies
# included.
OWN := -I demo/environment.py

UNUSABLE := $(shell $(FIND_PYTHON) folder)
$(if $(UNUSABLE),$(error $(UNUSABLE)))

GROUPS := airflow pipeline serving embedded
KERNELS := $(ENV)/pipeline/.kernel $(ENV)/serving/.kernel
RUNTIME := $(GROUPS:%=$(ENV)/%/.installed) $(KERNELS)
TESTABLE := $(GROUPS:%=$(ENV)/%/.testable) $(KERNELS)
ARCHIVE := var/cache/spark/.made

.PHONY: help demo check-data serve exercises check hint solution reset explore tune ablate handbook bench bench-features test smoke test-capstones test-published test-faults up down credentials test-compose lint audit format diagrams lock clean install environments

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUNTIME) $(ARCHIVE) ## run the whole pipeline locally: DATA=<path> MAP=<file> DAYS=120 CUSTOMERS=1000 SEED=0
	@$(ENV)/embedded/bin/python $(OWN) -m demo

check-data: $(ENV)/pipeline/.installed ## check your own payments before loading them: DATA=<path> MAP=<file>
	@$(ENV)/pipeline/bin/python $(OWN) -m bank.check_data $(if $(DATA),--data "$(DATA)") $(if $(MAP),--map "$(MAP)")

serve: $(RUNTIME) ## start the scorer on the demo's data: SCORER_PORT=8000
	@$(ENV)/embedded/bin/python $(OWN) -m demo.serve

exercises: $(TESTABLE) $(ARCHIVE) ## list the exercises and your progress
	@$(ENV)/embedded/bin/python $(OWN) -m exercises list

check: $(TESTABLE) ## check your solution of an exercise: EXERCISE=point-in-time
	@$(ENV)/embedded/bin/python $(OWN) -m exercises check "$(EXERCISE)"

hint: $(TESTABLE) ## show the next of three hints: EXERCISE=
	@$(ENV)/embedded/bin/python $(OWN) -m exercises hint "$(EXERCISE)"

solution: $(TESTABLE) ## show a solution: EXERCISE=
	@$(ENV)/embedded/bin/python $(OWN) -m exercises solution "$(EXERCISE)"

reset: $(TESTABLE) ## restart an exercise; your work is copied first: EXERCISE=
	@$(ENV)/embedded/bin/python $(OWN) -m exercises reset "$(EXERCISE)"

explore: $(ENV)/pipeline/.installed ## explore the demo's payments, as an HTML page: LAKE_URI=var/demo/lake
	@LAKE_URI="$${LAKE_URI:-var/demo/lake}" $(ENV)/pipeline/bin/python $(OWN) -m modeling.explore

# A search uses a separate MLflow store unless MLFLOW_TRACKING_URI is set.
tune: $(ENV)/pipeline/.installed ## tune the hyperparameters on the demo's last weeks: FROM=<day> TO=<day> TRIALS=40
	@mkdir -p var/tune
	@LAKE_URI="$${LAKE_URI:-var/demo/lake}" MLFLOW_TRACKING_URI="$${MLFLOW_TRACKING_URI:-sqlite:///var/tune/mlflow.db}" \
	    $(ENV)/pipeline/bin/python $(OWN) --keep-proxies -m modeling.tune $(FROM:%=--from %) $(TO:%=--to %) $(TRIALS:%=--trials %)

ablate: $(ENV)/pipeline/.installed ## measure what each feature adds, on the demo's last weeks: FROM=<day> TO=<day>
	@LAKE_URI="$${LAKE_URI:-var/demo/lake}" $(ENV)/pipeline/bin/python $(OWN) -m modeling.ablate $(FROM:%=--from %) $(TO:%=--to %)

# Tests run in their environment, four parts in parallel: they often wait. A failure does not stop the others.
TESTS ?= tests
TESTS_embedded := tests/demo tests/containers tests/exercises tests/test_imports.py tests/test_images.py tests/test_docs.py tests/test_ci.py tests/test_find_python.py
TESTS_airflow := tests/dags
TESTS_serving := tests/serving
# One environment in four parts, each with its own servers and Spark sessions.
TESTS_whole := tests/whole
TESTS_spark := tests/contracts tests/spark_jobs
TESTS_models := tests/modeling
TESTS_bank := tests/bank tests/benchmarks
PYTHON_whole := pipeline
PYTHON_spark := pipeline
PYTHON_models := pipeline
PYTHON_bank := pipeline

# Longest first, so that all lanes end together.
PARTS := spark models whole embedded serving bank airflow
# The paths of TESTS in a part: the part's paths below a given path, and given paths below one of the part's paths.
chosen = $(foreach path,$(TESTS_$1),$(foreach wanted,$(TESTS:%/=%),$(if $(filter $(wanted) $(wanted)/%,$(path)),$(path),\
    $(filter $(path)/% $(path)::%,$(wanted)))))
CHOSEN_PARTS = $(strip $(foreach part,$(PARTS),$(if $(strip $(call chosen,$(part))),$(part))))
unknown = $(strip $(foreach TESTS,$(TESTS:%/=%),$(if $(and $(wildcard $(firstword $(subst ::, ,$(TESTS)))),$(CHOSEN_PARTS)),,$(TESTS))))

UNKNOWN = "error: TESTS=$(unknown): 'make test' has no tests there. Give files or folders under tests/," \
    "several in quotes: TESTS='tests/bank tests/dags'. tests/{capstones,compose,faults,published} have their own commands: make help"

SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

# When several parts run, each prints its output when it ends (make 3.81 of macOS cannot).
test: tests-known $(TESTABLE) $(ARCHIVE) ## run all tests but faults, capstones, published and compose: TESTS=tests/bank for some
	@$(MAKE) --no-print-directory --keep-going --jobs 4 $(if $(word 2,$(CHOSEN_PARTS)),$(SYNC)) $(CHOSEN_PARTS:%=tests-of-%)

.PHONY: tests-known $(PARTS:%=tests-of-%)
tests-known:
	@$(if $(unknown),echo $(UNKNOWN) >&2; exit 1)

# One OpenMP thread: the other cores run other parts.
$(PARTS:%=tests-of-%): tests-of-%:
	@printf '\n== %s, in the environment %s\n' '$(strip $(call chosen,$*))' $(or $(PYTHON_$*),$*)
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(ENV)/$(or $(PYTHON_$*),$*)/bin/python $(OWN) -m pytest $(call chosen,$*)

smoke: ## run a small demo, the contract tests and the parity tests on any Python: PYTHON=python3.13
	@$(MAKE) --no-print-directory demo DAYS=$(or $(DAYS),60) CUSTOMERS=$(or $(CUSTOMERS),300)
	@$(MAKE) --no-print-directory test TESTS='tests/contracts tests/whole/test_parity.py tests/test_imports.py'

test-capstones: $(TESTABLE) ## test the capstones on a copy of the demo's data
	@$(ENV)/embedded/bin/python $(OWN) -m pytest --timeout 1800 tests/capstones

test-published: $(ENV)/pipeline/.testable ## compare the published features with those of `make demo DATA=`: DATA=<folder>
	@$(ENV)/pipeline/bin/python $(OWN) -m pytest tests/published

test-faults: $(ENV)/serving/.testable $(ENV)/embedded/.installed $(ENV)/pipeline/.installed $(KERNELS) ## inject faults under load: PAYMENTS=100000 OUTAGE_SECONDS=10
	@$(ENV)/serving/bin/python $(OWN) -m pytest --timeout 1800 tests/faults

handbook: $(ENV)/pipeline/.installed $(ENV)/pipeline/.kernel ## run the published benchmark: DATA=<folder> START=<day> WEEKS=4
	@$(ENV)/pipeline/bin/python $(OWN) -m benchmarks.handbook

bench: $(RUNTIME) ## benchmark the scorer against comparable servers: ROUNDS=5 SECONDS_EACH=4
	@$(ENV)/embedded/bin/python $(OWN) -m benchmarks.scorer

bench-features: $(RUNTIME) $(ARCHIVE) $(ENV)/engines/.installed ## compare the feature job with DuckDB and Polars: DATA=<folder> ROWS=1750000,17500000
	@$(ENV)/embedded/bin/python $(OWN) -m benchmarks.features

# The targets below need only Docker; test-compose also needs Python.
COMPOSE := docker compose

# Compose mounts the map, so the name of one that ships becomes its path; and its folder, if it names a table of rates.
MAP_FILE = $(if $(wildcard bank/maps/$(MAP).toml),./bank/maps/$(MAP).toml,$(MAP))
NAMES_RATES = grep -qsE '^[^\#]*rates.?[[:space:]]*='
up: ## start the whole system in containers: DATA=<path> MAP=<file> LIVE_DAYS=<days> SCORER_PORT=8000 AIRFLOW_PORT=8080 MLFLOW_PORT=5050 SPARK_PORT=8081
	@$(if $(MAP),MAP="$(MAP_FILE)" MAP_FOLDER="$${MAP_FOLDER:-$$($(NAMES_RATES) "$(MAP_FILE)" && dirname "$(MAP_FILE)")}") $(COMPOSE) up --detach --build --wait || { $(COMPOSE) logs --tail 20 bootstrap scorer replay; exit 1; }
	@echo 'payments are being scored; to watch them: docker compose logs --follow replay; addresses and logins: make credentials'

down: ## stop the containers and keep their data (docker compose down --volumes deletes it)
	@$(COMPOSE) down

credentials: ## print the containers' addresses and logins, as NAME=value
	@[ -n "$$($(COMPOSE) ps --all --quiet credentials)" ] || { echo 'error: the containers are not running: run make up first' >&2; exit 1; }
	@$(COMPOSE) --progress quiet run --rm --no-deps --no-TTY credentials python -m containers.credentials show

test-compose: $(ENV)/embedded/.testable ## build, start and test the containers, then remove them
	@$(ENV)/embedded/bin/python -m pytest --timeout 1800 tests/compose

# Modules that checks import, type-checked in their exercise's environment.
CHECKS_pipeline := exercises/conftest.py exercises/earlier_champion.py exercises/leaks.py
CHECKS_serving := exercises/fake_registry.py exercises/faulty_store.py
lint: $(ENV)/lint/.installed $(RUNTIME) $(ENV)/pipeline/.testable $(ENV)/engines/.installed $(ENV)/embedded/.testable ## run ruff, mypy --strict and the import rule
	$(ENV)/lint/bin/ruff check .
	$(ENV)/lint/bin/ruff format --check .
	$(ENV)/lint/bin/mypy --python-executable $(ENV)/pipeline/bin/python contracts bank spark_jobs modeling benchmarks/handbook \
	    benchmarks/scorer/prepare.py benchmarks/scorer/plain_fastapi.py $(addprefix benchmarks/features/,prepare.py compare.py \
	    in_one_process.py) $(CHECKS_pipeline)
	$(ENV)/lint/bin/mypy --python-executable $(ENV)/engines/bin/python benchmarks/features/in_duckdb.py benchmarks/features/in_polars.py
	$(ENV)/lint/bin/mypy --python-executable $(ENV)/serving/bin/python serving benchmarks/scorer/contender.py benchmarks/scorer/bare_fastapi.py \
	    benchmarks/scorer/load.py $(CHECKS_serving)
	$(ENV)/lint/bin/mypy --python-executable $(ENV)/embedded/bin/python .ci/steps.py demo containers benchmarks/scorer/__main__.py \
	    benchmarks/features/__main__.py \
	    $(filter-out $(CHECKS_pipeline) $(CHECKS_serving),$(wildcard exercises/*.py))
	MYPYPATH=dags $(ENV)/lint/bin/mypy --python-executable $(ENV)/airflow/bin/python dags/fraud_daily.py dags/fraud_training.py dags/pipeline_command.py
	@$(MAKE) --no-print-directory test TESTS=tests/test_imports.py

audit: $(ENV)/audit/.installed ## find known vulnerabilities in the pinned packages; needs the public database
	@status=0; for pins in requirements/*.txt; do echo "$$pins"; \
	    $(ENV)/audit/bin/pip-audit --strict --progress-spinner off --disable-pip --requirement $$pins || status=1; done; exit $$status

format: $(ENV)/lint/.installed ## format and fix with ruff
	$(ENV)/lint/bin/ruff check --fix .
	$(ENV)/lint/bin/ruff format .

# Puppeteer's own browser cannot be downloaded everywhere: CHROMIUM names an installed one.
CHROMIUM ?= $(firstword $(wildcard /usr/bin/chromium /usr/bin/google-chrome))
diagrams: ## draw docs/diagrams/*.mmd as SVG; needs npm and Chromium: CHROMIUM=/usr/bin/chromium
	@for source in docs/diagrams/*.mmd; do \
	    PUPPETEER_SKIP_DOWNLOAD=1 PUPPETEER_EXECUTABLE_PATH="$(CHROMIUM)" npx --yes @mermaid-js/mermaid-cli@11.17.0 --quiet \
	        --input $$source --output $${source%.mmd}.svg --backgroundColor white \
	        --configFile docs/diagrams/mermaid.json --puppeteerConfigFile docs/diagrams/puppeteer.json; done

install: $(RUNTIME) $(ARCHIVE) ## install the environments

environments: $(TESTABLE) $(ENV)/lint/.installed $(ARCHIVE) ## install the environments with test tools and linters

# The order matters: `test` is resolved under the pins of the environments that it is installed into.
LOCK := $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-emit-index-url
lock: $(UV) ## resolve pyproject.toml's groups into requirements/
	for group in $(GROUPS) audit engines fuzz lint; do $(LOCK) --upgrade --group $$group pyproject.toml -o requirements/$$group.txt; done
	$(LOCK) --upgrade --group test $(GROUPS:%=-c requirements/%.txt) pyproject.toml -o requirements/test.txt

clean: ## delete var/ except your exercises: environments, caches, the demo's data
	[ ! -d var ] || find var -mindepth 1 -maxdepth 1 ! -name exercises -exec rm -rf {} +

# The marker file is created last, so an aborted installation is repeated.
$(UV): requirements/uv.txt
	@python="$$($(FIND_PYTHON) choose "$(PYTHON)")"; echo "installing uv"; "$$python" -I -m venv --clear var/uv
	@var/uv/bin/python -I -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

INSTALL = $(UV) pip install --quiet --require-hashes --compile-bytecode --python $(ENV)/$*/bin/python
# Reinstall environments made by another Python.
FORCE:
$(shell $(FIND_PYTHON) outdated "$(PYTHON)"): FORCE
$(ENV)/%/.installed: requirements/%.txt | $(UV)
	@python="$$($(FIND_PYTHON) choose "$(PYTHON)")"; echo "installing the environment $* ($${python##*/})"; \
	    $(UV) venv --quiet --clear --python "$$python" $(ENV)/$*
	@$(INSTALL) -r $<
	@touch $@

# Environments with the same versions share what is compiled, in var/cache/kernel.
$(ENV)/%/.kernel: contracts/kernel.py contracts/kernel_functions.py $(ENV)/%/.installed
	@echo "compiling the feature kernel for $*"
	@$(ENV)/$*/bin/python $(OWN) -m contracts.compiled
	@touch $@

$(ARCHIVE): spark_jobs/warm_up.py $(ENV)/pipeline/.installed $(ENV)/embedded/.installed
	@echo "creating Spark's class-data archive"
	@$(ENV)/embedded/bin/python $(OWN) -m demo.spark_archive
	@touch $@

$(ENV)/serving/.testable: | $(ENV)/fuzz/.installed
$(ENV)/pipeline/.testable: | $(ENV)/engines/.installed
$(ENV)/%/.testable: requirements/test.txt $(ENV)/%/.installed
	@echo "adding the test tools to $*"
	@$(INSTALL) -r requirements/test.txt
	@touch $@
