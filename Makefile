# Two commands do everything, set-up included, in a local virtual environment: make table5, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out
JOBS ?= 2
# bytecode is made when a module is first used: most of what is installed never is
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt

.PHONY: help table5 test bench check lint types layers render sheet clean

help:  ## this list
	@grep -E '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(VENV)/.core: pyproject.toml constraints.txt
	@echo "installing into $(VENV): one to two minutes, once" >&2
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@echo "installing what the tests need: about a minute, once" >&2
	$(INSTALL) -e '.[dev]'
	@touch $@

table5: $(VENV)/.core  ## the main job on the embedded faces: trains, slims, measures and renders Table 5 into OUT
	$(BIN)/python -m bench.report --table table5 --data synthetic --scale cpu --jobs $(JOBS) --out $(OUT)

test: $(VENV)/.dev  ## the test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

bench: $(VENV)/.dev  ## the pytest-benchmark suites: slimming time, training overhead, latency per ratio
	$(BIN)/python -m pytest bench --benchmark-enable --benchmark-only

lint: $(VENV)/.dev  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev  ## pyright
	$(BIN)/pyright

layers: $(VENV)/.dev  ## imports point down only: bench -> fermodels -> compress
	$(BIN)/lint-imports

render: $(VENV)/.dev  ## the committed records must give the committed tables, byte for byte
	$(BIN)/python -m bench.publish --check

check: lint types layers render test  ## all that CI runs

clean:  ## removes the environment and the caches; records and tables stay
	rm -rf $(VENV) reports/runs out
