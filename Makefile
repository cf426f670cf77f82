# Every target works from a fresh clone: what it needs is installed first. `make` alone lists the targets.
# User logs and settings are passed through the environment (see README.md); LCR_PYTHON names a Python for set-up, and
# LCR_GPU=1 or 0 has NVIDIA's libraries installed or not, whatever nvidia-smi says (docs/gpu.md).

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
PACKAGES := model components tfx_pipeline serving synthetic_logs experiments benchmarks examples
BENCHMARKS := training evaluation reasoning grpo table input scale
PYTEST := $(BIN)/python -m pytest --numprocesses auto --no-loadscope-reorder
USUAL := not real_data and not long and not containers

# Set-up and the build of the image need these as environment variables.
export LCR_PYTHON LCR_GPU LINE VARIANT BASE GO_BASE IMAGE

.DEFAULT_GOAL := help
.PHONY: help setup run check test unit e2e test-real test-long test-line-b test-containers image engine lint fmt score \
        bench profile lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## Make .venv from the lock (once; a changed lock is installed at the next call)

# A choice that is not that of the environment which is there calls for set-up again.
ifneq ($(LCR_GPU),)
ifneq ($(LCR_GPU),$(if $(shell grep -s '"gpu"' $(STAMP)),1,0))
.PHONY: $(STAMP)
endif
endif

$(STAMP): pyproject.toml $(wildcard requirements/*.txt) $(wildcard scripts/*.py) scripts/any-python
	@scripts/any-python -m scripts.setup

run: $(STAMP) ## Run the pipeline: raw logs in, pushed model out
	$(BIN)/tfx run create --pipeline_path tfx_pipeline/

check: lint ## Format, lint, types, import contracts, and the unit tests that take no time: about two minutes
	$(PYTEST) -m "not slow and $(USUAL)" --ignore tests/e2e

test: lint ## Check the code, then run all tests but those on real sets
	$(PYTEST) -m "$(USUAL)"

unit: $(STAMP) ## The same without lint and without the tests that run the whole pipeline
	$(PYTEST) -m "$(USUAL)" --ignore tests/e2e

e2e: $(STAMP) ## The tests that run the whole pipeline, alone
	$(PYTEST) -m "$(USUAL)" tests/e2e

test-real: $(STAMP) ## The tests on real sets, where they are there (../shared/data)
	$(PYTEST) -m real_data

# One process more than cores: many of these wait, for servers or for each other.
test-long: $(STAMP) ## The tests that take half a minute or more each, which `make test` leaves out
	$(PYTEST) --numprocesses $$(($$(nproc) + 1)) -m "long and not real_data and not containers"

test-line-b: ## Set-up, lint, unit tests and demo run in a Debian 13 made by debootstrap (as root; FOLDER=build/debian)
	@scripts/any-python -m scripts.line_b $(or $(FOLDER),build/debian)

test-containers: $(STAMP) ## The tests that run in containers of Docker; as root where no engine runs (LINE=a or b, VARIANT, BASE)
	$(BIN)/python -m pytest -m containers tests/containers

image: $(STAMP) ## Build the image of all steps (LINE=a or b, VARIANT=cpu or gpu, BASE, GO_BASE, IMAGE=name)
	@$(BIN)/python -m scripts.containers

lint: $(STAMP) ## Ruff, mypy and the import contracts
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(STAMP) ## Format, and apply the safe fixes of ruff
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

score: $(STAMP) ## Rank candidates with the pushed model, over gRPC
	$(BIN)/lcr-ser score

bench: $(STAMP) ## Measure speed: a table each, and build/bench/NAME.json (THREADS=1, ROUNDS)
	@for name in $(BENCHMARKS); do \
	  $(BIN)/python -m benchmarks.$$name --threads $(or $(THREADS),1) $(if $(ROUNDS),--rounds $(ROUNDS)) || exit; done

profile: $(STAMP) ## Show where a training step's time goes, by operation, for both stages
	@$(BIN)/python -m benchmarks.profile --threads $(or $(THREADS),1)

engine: $(STAMP) ## Build Prism, a Beam engine, into build/engine (needs Go; minutes, once)
	@$(BIN)/python -m scripts.engine

lock: $(STAMP) ## Resolve the lock files again (UPGRADE=1 moves versions)
	$(BIN)/python -m scripts.lock $(if $(UPGRADE),--upgrade)

clean: ## Remove the environment and caches; logs, runs and models in build/ stay
	rm -rf $(VENV) .venv-bootstrap .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info
	find $(PACKAGES) tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
