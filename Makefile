# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
SCENARIO ?= default
root := $(CURDIR)
results := $(root)/.cache/results
collection := .cache/collections/ansible_collections/splitway/gateway

export PYTHON
export PATH := $(root)/.venv/bin:$(PATH)
export ANSIBLE_CONFIG := $(root)/ansible.cfg
export ANSIBLE_COLLECTIONS_PATH := $(root)/.cache/collections

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-10s %s\n", $$1, $$2}' Makefile

# --- what everything stands on -----------------------------------------------------------------------------------------

.venv/ready: requirements.txt requirements-development.txt
	tests/prepare-machine python
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --retries 10 --timeout 60 \
		--requirement requirements-development.txt
	touch $@

# The collection by its name: a link from the tree that Ansible and Python look into to this checkout.
$(collection):
	mkdir -p $(@D)
	ln -sfn ../../../.. $@

.PHONY: prepared
prepared: .venv/ready $(collection)

.PHONY: lab-machine
lab-machine: prepared
	tests/prepare-machine lab

# --- the documents -----------------------------------------------------------------------------------------------------

.PHONY: docs
docs: prepared ## the documents as web pages, with the reference of all modules and roles
	docs/build

# --- the lab -----------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: lab-up ## the lab, the playbooks, and a table of which client's traffic took which way
	tests/lab/demo

.PHONY: lab-up
lab-up: lab-machine ## the lab's hosts, plain: ready for exit.yml and site.yml
	ansible-playbook --inventory inventories/lab tests/lab/up.yml

.PHONY: lab-down
lab-down: lab-machine ## removes the lab
	ansible-playbook --inventory inventories/lab tests/lab/down.yml

# --- the tests ---------------------------------------------------------------------------------------------------------

.PHONY: lint
lint: prepared ## formats, styles, types, documentation
	tests/lint

.PHONY: unit
unit: prepared ## pure code and modules on a fake system
	tests/prepare-machine unit
	PYTHONPATH=$(root)/.cache/collections pytest --import-mode=importlib --numprocesses 2 \
		--junitxml $(results)/unit.xml $(collection)/tests/unit

# They wait more than they work: three at a time on two processors, handed out one by one: in portions, one worker had
# 80 s of tests left when the others had none. Those that measure times come last, one after the other. What failed is
# tried once more alone, and named when it passes only then.
kernel_tests = PYTHONPATH=$(root)/.cache/collections pytest --import-mode=importlib $(collection)/tests/kernel
again = --last-failed --last-failed-no-failures none --maxfail 3

.PHONY: kernel
kernel: prepared ## reconcilers against the real kernel, in network namespaces (root)
	tests/prepare-machine kernel
	failed=; \
	$(kernel_tests) -m "not timed" --numprocesses 3 --maxschedchunk 1 --junitxml $(results)/kernel.xml \
		|| $(kernel_tests) -m "not timed" $(again) --junitxml $(results)/kernel.again.xml || failed=1; \
	$(kernel_tests) -m timed --junitxml $(results)/kernel.timed.xml \
		|| $(kernel_tests) -m timed $(again) --junitxml $(results)/kernel.timed.again.xml || failed=1; \
	test -z "$$failed"

.PHONY: molecule
molecule: lab-machine ## SCENARIO=default (ipset), nftables, guard (ways round), chaos (faults), autovpn (no UDP) or fleet (a rollout that breaks): the whole on real hosts, judged by real traffic
	PYTEST_ADDOPTS="--junitxml=$(results)/molecule-$(SCENARIO).xml" molecule test --no-command-borders --scenario-name $(SCENARIO)

.PHONY: molecule-default molecule-nftables molecule-guard molecule-chaos molecule-autovpn molecule-fleet
molecule-default molecule-nftables molecule-guard molecule-chaos molecule-autovpn molecule-fleet:
	$(MAKE) molecule SCENARIO=$(@:molecule-%=%)

# Both backends are in it: default and guard have ipset, autovpn nftables, chaos and most of the kernel tier both.
tiers := lint unit kernel molecule-default molecule-guard molecule-chaos molecule-autovpn

# Every tier runs, so that one run tells all that is wrong; the last line counts the tests of all of them.
define run_tiers
	rm -rf $(results)
	failed=; for tier in $(1); do \
		echo "=== $$tier"; \
		$(MAKE) --no-print-directory $$tier || failed="$$failed $$tier"; \
	done; \
	.venv/bin/python tests/summary.py $(results) $$failed
endef

.PHONY: test
test: prepared ## lint, unit, kernel and the Molecule scenarios that CI has time for
	$(call run_tiers,$(tiers))

.PHONY: test-all
test-all: prepared ## the same, the scenarios nftables and fleet, and the demo
	$(call run_tiers,$(tiers) molecule-nftables molecule-fleet demo)

# --- the benches -------------------------------------------------------------------------------------------------------

benches := $(basename $(notdir $(wildcard tests/bench/*.py)))

.PHONY: bench
bench: prepared ## what it costs: all of them, or BENCH=name ARGS="--its options"; root (docs/performance.md)
	tests/prepare-machine kernel
	tests/prepare-machine bench
	$(if $(filter converge,$(or $(BENCH),$(benches))),tests/prepare-machine lab || echo "no lab: converge is skipped")
	for bench in $(or $(BENCH),$(benches)); do echo "=== $$bench"; tests/bench/$$bench.py $(ARGS); done

.PHONY: performance
performance: prepared ## docs/performance.md and its plots, from bench/results
	PYTHONPATH=tests/bench .venv/bin/python -m performance
