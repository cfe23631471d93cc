# Nothing but python3 (3.11+) and make is needed: every target makes .venv itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SERVE_ARGS ?=
# Each process has a PostgreSQL of its own.
TEST_PROCESSES ?= logical
EVAL_ARGS ?=

.PHONY: help serve test soak browser clients fuzz check lint types floors schema docs-permissions lock bench eval clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "KyroChat needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing KyroChat and its pinned dependencies into $(VENV) ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

serve: $(STAMP)  ## Start KyroChat on http://127.0.0.1:8000 (options: make serve SERVE_ARGS="--port 9000")
	@$(BIN)/kyrochat serve $(SERVE_ARGS)

test: $(STAMP)  ## Run the tests (they bring their own PostgreSQL; one after another: TEST_PROCESSES=0)
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --maxprocesses 4 --dist worksteal

soak: $(STAMP)  ## Run the tests that take minutes (SOAK_KILLS=200 SOAK_ANSWERS=1000 for the long ones)
	$(BIN)/python -m pytest -m slow

browser: $(STAMP)  ## Run the tests in a real browser (needs chromium on the machine)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/browser.txt
	$(BIN)/python -m pytest tests/browser

clients: $(STAMP)  ## Run clients and tools from npm on a server and its schema (needs Node 20.19 or newer)
	@cd tests/clients && npm ci --ignore-scripts --silent
	@cd examples/typescript && npm ci --ignore-scripts --silent
	$(BIN)/python -m pytest tests/clients

fuzz: $(STAMP)  ## Send every root field what its types allow (FUZZ_EXAMPLES=100 for a long run)
	@test -x .venv-fuzz/bin/python || $(PYTHON) -m venv .venv-fuzz
	@.venv-fuzz/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/fuzz.txt
	$(BIN)/python -m pytest tests/fuzz

lint: $(STAMP)  ## Check format and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)  ## Check types (strict)
	$(BIN)/mypy

floors: $(STAMP)  ## Check that packages import only from floors below
	$(BIN)/lint-imports

check: lint types floors test  ## The whole gate

schema: $(STAMP)  ## Write schema.graphql anew
	$(BIN)/kyrochat schema > schema.graphql

docs-permissions: $(STAMP)  ## Write the tables of docs/permissions.md anew
	$(BIN)/python -m tests.access.permission_table

docs: $(STAMP)  ## Build the documentation's site into build/site
	@test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	@.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/docs.txt
	@$(BIN)/python -m docs.site build/docs
	@.venv-docs/bin/mkdocs build --quiet
	@echo "Open build/site/index.html"

bench: $(STAMP)  ## Measure speed and retrieval quality against baselines
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/bench.txt
	$(BIN)/python -m benchmarks

eval: $(STAMP)  ## Measure retrieval quality against its gates (one folder: make eval EVAL_ARGS="path/to/collection")
	$(BIN)/python -m benchmarks.evaluation --plot evaluation.svg $(EVAL_ARGS)

lock: $(STAMP)  ## Pin all dependencies anew, with hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --custom-compile-command "make lock" -o requirements/run.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --custom-compile-command "make lock" --group dev -o requirements/dev.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --custom-compile-command "make lock" --group browser -c requirements/dev.txt \
		-o requirements/browser.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --custom-compile-command "make lock" --group bench -o requirements/bench.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --custom-compile-command "make lock" --group docs -o requirements/docs.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --custom-compile-command "make lock" --group fuzz -o requirements/fuzz.txt

clean:  ## Remove what make made (your data directory stays)
	rm -rf $(VENV) .venv-bench .venv-docs .venv-fuzz dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis tests/clients/node_modules examples/typescript/node_modules
