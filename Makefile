# Everything runs in .venv, which each target makes when it is missing or when its inputs have changed.
PYTHON ?= python3
FUZZ_S ?= 60
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml hatch_build.py constraints.txt $(shell find protos -type f)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Isthmus needs Python 3.11 or newer; set PYTHON=/path/to/it")'
	@echo 'setting up $(VENV): everything from the package index, about 500 MB; this takes half a minute' >&2
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[demo]' --group dev
	@touch $(READY)

.PHONY: setup
setup: $(READY) ## Make the virtual environment with everything in it

.PHONY: protos
protos: ## Rebuild the descriptor set and the type stubs from protos/
	rm -f $(READY)
	$(MAKE) setup

.PHONY: demo
demo: $(READY) ## Two clusters, three real Envoys, and a failover, in under a minute
	$(BIN)/xdsctl demo

.PHONY: check
check: $(READY) ## Format, lint, types, import layers, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/typos

.PHONY: fix
fix: $(READY) ## Let the formatter and the linter mend what they can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: test
test: $(READY) ## Run the tests
	$(BIN)/pytest -m "not matrix"

.PHONY: interop
interop: $(READY) ## Run every gRPC client and every Envoy version that can be had here against our server
	$(BIN)/pytest -m "clients or matrix"

.PHONY: e2e
e2e: $(READY) ## Run the tests on real Kubernetes clusters, which are built once (E2E_PROVIDER=kind: on kind's)
	$(BIN)/pytest e2e

.PHONY: bench
bench: $(READY) ## Compare with peers on the same work (BENCH='--small' for a first look; programs are built once, with Go)
	PYTHONPATH=e2e:tests/interop $(BIN)/python bench/compare.py $(BENCH)

.PHONY: bench-churn
bench-churn: $(READY) ## Change endpoints all the time, and tell how stale streams are (BENCH='--rate 50 --streams 200')
	PYTHONPATH=e2e:tests/interop $(BIN)/python bench/churn.py $(BENCH)

.PHONY: bench-flat
bench-flat: $(READY) ## Tell what a change costs against the number of services (BENCH='--services 100 1000 --streams 50')
	PYTHONPATH=e2e:tests/interop $(BIN)/python bench/flat.py $(BENCH)

.PHONY: bench-check
bench-check: $(READY) ## Compare with the floor, in a small form, and with the ratios that are committed (needs Go)
	PYTHONPATH=e2e:tests/interop $(BIN)/python bench/check.py

.PHONY: bench-micro
bench-micro: $(READY) ## Time the single steps of a change (installs pytest-benchmark)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --group bench
	PYTHONPATH=bench $(BIN)/pytest -p no:randomly bench/micro --benchmark-columns=median,iqr,rounds --benchmark-sort=name

.PHONY: profile
profile: $(READY) ## Show where our control plane spends its time, sampled by py-spy (which this installs; PROFILE='--streams 100')
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --group bench
	PYTHONPATH=e2e:tests/interop $(BIN)/python bench/profile_ours.py $(PROFILE)

.PHONY: fuzz
fuzz: $(READY) ## Fuzz each target for FUZZ_S seconds, guided by coverage (installs atheris)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --group fuzz
	for target in requests streams loads redaction; do $(BIN)/python tests/fuzz/fuzz_run.py $$target $(FUZZ_S) || exit 1; done

.PHONY: golden
golden: $(READY) ## Rewrite the golden files; read the diff before you commit it
	$(BIN)/pytest tests/translate/test_golden.py tests/protocol/test_protocol_scripts.py --update-golden

.PHONY: clean
clean: ## Remove the virtual environment and everything generated
	rm -rf $(VENV) dist build xds/wire/generated xds/wire/_typing xds/wire/*.pyi
