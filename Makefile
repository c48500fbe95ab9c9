# make demo | test | check | format | clean. Each sets up .venv by itself; nothing is needed before but Python and make.

PYTHON ?= python3
# PyTorch's own index of CPU builds, asked on Linux only. `make TORCH_INDEX=` leaves it out: then pip's own index (or
# --find-links) supplies torch, which spares minutes of retries where that index cannot be reached.
TORCH_INDEX ?= $(if $(filter Linux,$(shell uname -s)),https://download.pytorch.org/whl/cpu)
TORCH := $(shell sed -n 's/^ *"\(torch==[^"]*\)".*/\1/p' pyproject.toml)
BIN := .venv/bin

.PHONY: demo test check format lint types clean

demo: .venv/demo
	@$(BIN)/cosmicai demo

test: .venv/dev
	$(BIN)/python -m pytest

check: .venv/dev lint types test

lint: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/dev
	$(BIN)/mypy

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv out build *.egg-info

# The stamp files remember what was installed; a change of pyproject.toml installs anew.
.venv/torch: pyproject.toml
	@echo 'installing into .venv (about a minute)'
	@test -d .venv || $(PYTHON) -m venv .venv
	@$(if $(TORCH_INDEX),$(BIN)/pip install --quiet --retries 1 --no-deps --index-url $(TORCH_INDEX) $(TORCH) || echo 'no CPU build of PyTorch from its own index; pip takes what it finds')
	@touch $@

.venv/demo: .venv/torch
	@$(BIN)/pip install --quiet --editable '.[local]'
	@touch $@

.venv/dev: .venv/torch
	@$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@ .venv/demo
