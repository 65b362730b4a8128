# `make repro` and `make test` do all of their own set-up. A bare `make` lists the targets.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
PYTHON ?= python3.11
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Work is spread over processes and threads by the code itself; libraries must not add threads of their own.
export TOKENIZERS_PARALLELISM := false

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

.venv/.python:
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --upgrade pip
	touch $@

.venv/.run: .venv/.python requirements.lock pyproject.toml
	.venv/bin/python -m pip install --quiet --requirement requirements.lock
	.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	.venv/bin/python -m graded.analysis.offline .venv/plots.html
	.venv/bin/dvc config --local plots.html_template ../.venv/plots.html
	touch $@

.venv/.dev: .venv/.run requirements-dev.lock
	.venv/bin/python -m pip install --quiet --requirement requirements-dev.lock
	touch $@

.PHONY: repro
repro: .venv/.run ## run the pipeline on the shipped sample; prints the metrics
	@graded check
	@graded ledger pull
	@dvc repro --quiet || { code=$$?; dvc repro --dry 2>&1 >/dev/null | grep ERROR >&2; exit $$code; }
	@graded summary

.PHONY: test
test: .venv/.dev check ## checks, then the tests (under 5 minutes on 2 cores)
	pytest

.PHONY: test-all
test-all: .venv/.dev check ## the slow tests too
	pytest --slow

.PHONY: check
check: .venv/.dev ## ruff, mypy --strict, import-linter
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache

.PHONY: docs
docs: .venv/.dev ## the documentation as a site in site/, without warnings and without network
	@NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict --quiet
	@echo "site/index.html"

BENCHES := $(filter-out harness train_sides,$(basename $(notdir $(wildcard bench/[a-z]*.py))))
.PHONY: bench
bench: .venv/.dev ## one benchmark, as in: make bench NAME=encode; without NAME all; a crash does not stop the others
	@$(if $(filter-out $(BENCHES),$(NAME)),echo "no benchmark '$(NAME)'; there are: $(BENCHES)" >&2; exit 2)
	@crashed=; for name in $(or $(NAME),$(BENCHES)); do python -m bench.$$name || crashed="$$crashed $$name"; done; \
	[ -z "$$crashed" ] || { echo "make bench: ended by an error:$$crashed; see above, then make bench NAME=..." >&2; exit 1; }

.PHONY: record
record: .venv/.run ## write the sample's readings into its ledger again (after a prompt or text changed)
	dvc repro --quiet encoder
	python sample/record.py

.PHONY: newest
newest: ## the tests with the newest dependencies that pyproject.toml allows, in an environment of their own
	test -d .venv-newest || $(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager pip setuptools --editable '.[sample,dev,docs]'
	PATH="$(CURDIR)/.venv-newest/bin:$$PATH" pytest

.PHONY: audit
audit: .venv/.dev ## known vulnerabilities of the locked versions (pip-audit)
	@python .ci/audit.py

.PHONY: sbom
sbom: .venv/.dev ## sbom.json: a CycloneDX bill of materials of requirements.lock
	@cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON -o sbom.json requirements.lock 2>/dev/null
	@echo "sbom.json: $$(grep -c '"purl"' sbom.json) packages"

.PHONY: dist
dist: .venv/.dev ## wheel and source distribution in dist/
	python -m build --no-isolation --outdir dist .

.PHONY: lock
lock: .venv/.python ## renew requirements.lock and requirements-dev.lock
	.venv/bin/python -m pip install --quiet pip-tools
	pip-compile --quiet --upgrade --extra sample --output-file requirements.lock --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras --no-header --annotation-style line pyproject.toml
	pip-compile --quiet --upgrade --extra sample --extra dev --extra docs --constraint requirements.lock --output-file requirements-dev.lock --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras --no-header --annotation-style line pyproject.toml
	sed -i -E 's/^(torch==[0-9.]+)\+cpu/\1    /' requirements.lock requirements-dev.lock  # the CPU build is one of several

.PHONY: clean
clean: ## remove the virtual environment and tool caches (never data, never the ledger)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dvc_plots site build dist
