# `make` lists the targets. Each target does the set-up that it needs.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON3 ?= python3
PYTHON := .venv/bin/python
ARGS ?=

.PHONY: help up down test test-all drill rehearse check engine bench scale requirements sbom audit clean

help: ## this list
	@echo 'usage: make TARGET [ARGS="--name demo …"]'
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

up: .venv/ready ## create an HA Flink cluster on this machine with Pulumi, and run jobs (root; about 15 min the first time)
	@$(PYTHON) -m lab up $(ARGS)

down: .venv/ready ## remove it: hosts, network, data, state
	@$(PYTHON) -m lab down $(ARGS)

test: .venv/ready ## all tests except the exhaustive ones, including their set-up (root; about an hour)
	@$(PYTHON) tests/run.py test $(ARGS)

test-all: .venv/ready ## also the exhaustive tests (root; two to three hours; ends with how long each part took)
	@$(PYTHON) tests/run.py test-all $(ARGS)

drill: .venv/ready ## faults on a separate lab while a job counts lost and duplicated records (root; half an hour)
	@$(PYTHON) -m drill $(ARGS)

rehearse: .venv/ready ## the AWS stack with the real engine, from preview to destroy, on hosts of this machine (root)
	@$(PYTHON) -m lab.prepare
	@$(PYTHON) -m pytest -q -s tests/aws/test_rehearsal.py $(ARGS)

check: .venv/ready ## lint, format, types, shell scripts, workflows and unit tests: some minutes
	@$(PYTHON) tests/run.py check $(ARGS)

engine: .venv/ready ## tests that need Pulumi's engine but neither root nor a lab: 3 to 5 minutes
	@$(PYTHON) tests/run.py engine $(ARGS)

bench: .venv/ready ## measured comparisons, as ratios (root)
	@$(PYTHON) -m bench $(ARGS)

scale: .venv/ready ## many hosts: previews of 300, a rollout over 100, 60 lab hosts by SSH (root, 18 GiB; an hour)
	@$(PYTHON) -m bench.scale $(ARGS)

requirements: ## pin the newest packages that requirements*.in allow, with hashes
	@work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; \
	$(PYTHON3) -m venv "$$work" && "$$work/bin/pip" install -q uv; \
	for name in requirements requirements-dev; do \
	    "$$work/bin/uv" pip compile -q --upgrade --generate-hashes --no-emit-index-url --no-header \
	        --python-version 3.11 "$$name.in" -o "$$name.txt" > /dev/null; \
	done

sbom: .venv/ready ## write what is used and installed, in CycloneDX, to sbom/ (ARGS="--stack STACK": of its releases)
	@$(PYTHON) -m docs.sbom $(ARGS)

audit: .venv/ready ## known vulnerabilities of the Python packages (asks the package index's advisory service)
	@$(PYTHON) -m pip_audit --require-hashes --disable-pip -r requirements.txt
	@$(PYTHON) -m pip_audit --require-hashes --disable-pip -r requirements-dev.txt

clean: ## remove the Python environment and caches of tools; labs and the shared cache stay
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
	@find . -name __pycache__ -not -path './.lab/*' -prune -exec rm -rf {} +

# The Python environment, recreated when the pinned packages change.
.venv/ready: requirements-dev.txt
	@$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "make: Python 3.11 or newer is needed: apt-get install python3, or make PYTHON3=/a/newer/python3" >&2; \
	    exit 1; }
	@$(PYTHON3) -c 'import ensurepip, venv' 2> /dev/null || { \
	    if [[ $$EUID != 0 ]]; then \
	        echo "make: this Python has no venv: as root, apt-get install python3-venv" >&2; exit 1; \
	    fi; \
	    echo "venv:        installing python3-venv by apt-get …"; \
	    apt-get -q update > /dev/null; \
	    DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends python3-venv > /dev/null; }
	@echo "venv:        installing the pinned Python packages into .venv …"
	@began=$$SECONDS; $(PYTHON3) -m venv .venv; \
	$(PYTHON) -m pip install -q --disable-pip-version-check --no-input --require-hashes -r requirements-dev.txt; \
	echo "venv:        installing the pinned Python packages into .venv: done, $$((SECONDS - began)) s"
	@touch $@
