# The two commands of a newcomer are `make demo` and `make test`. Both make a virtual
# environment in .venv and install what is needed into it; nothing else is touched.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.dev
# Tests use this many processes. (PyTorch's tests run alone: see .ci/run.)
JOBS ?= 2
# Tests start hundreds of processes: each would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test bench mutants fuzz lint format typecheck docs golden wheel clean

demo: $(VENV)/.demo
	$(BIN)/python -m polydsl.driver.demo

test: $(READY)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not torch and not thorough"

# Layers of ResNet-50 and matrix products, interleaved with PyTorch.
bench: $(READY) $(VENV)/.torch
	$(BIN)/python -m tests.benchmarks

# Deliberate bugs in the compiler, one at a time: the tests must find each.
mutants: $(READY)
	$(BIN)/python -m tests.mutants

# More than `make test` has time for: every case of the library, then random programs for
# so many minutes, each round with seeds of its own.
MINUTES ?= 60
fuzz: $(READY)
	$(BIN)/python -m pytest -q -n $(JOBS) -m "thorough and not torch"
	end=$$(($$(date +%s) + 60 * $(MINUTES))); \
	while [ $$(date +%s) -lt $$end ]; do \
	  $(BIN)/python -m pytest -q -n $(JOBS) -m "random and not torch" \
	    --hypothesis-seed=random || exit 1; \
	done

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: $(READY)
	$(BIN)/python -m tests.typecheck

# The pages under docs/, with the API reference made from docstrings, into site/.
docs: $(READY) $(VENV)/.docs
	$(BIN)/python tests/reference_pages.py
	$(BIN)/sphinx-build -W --keep-going -q docs site

golden: $(READY)
	$(BIN)/python -m pytest tests/test_golden.py --update-golden

wheel: $(READY)
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) .typecheck build dist site *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "polydsl needs Python 3.11 or later, and $(PYTHON) is" \
	    "`$(PYTHON) --version 2>&1`; name another: make PYTHON=python3.12 ..." >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --upgrade pip

# The extras of pyproject.toml; what is installed is marked by an empty file.
$(READY): EXTRA = dev
$(VENV)/.demo: EXTRA = demo
$(VENV)/.docs: EXTRA = docs
$(VENV)/.torch: EXTRA = torch
$(READY) $(VENV)/.demo $(VENV)/.docs $(VENV)/.torch: pyproject.toml $(BIN)/python
	@echo "Installing polydsl[$(EXTRA)] into $(VENV); this takes a minute."
	@$(BIN)/python -m pip install -qq -e ".[$(EXTRA)]"
	@touch $@
