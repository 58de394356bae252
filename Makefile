# `make attack` and `make test` do all the set-up they need: python3 >= 3.10 and make are enough.
PYTHON ?= python3
VENV   ?= .venv
PAIR   ?= dog:deer
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: setup attack test lint format bench clean

setup: $(STAMP)

# Re-made when the project file or the pins change, so running it after a pull is enough.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "advgen needs Python 3.10 or newer; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

attack: setup
	$(BIN)/advgen attack --pair "$(PAIR)"

test: setup
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m benchmarks.sandbox

clean:
	rm -rf $(VENV) runs .pytest_cache .ruff_cache
