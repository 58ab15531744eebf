# Everything happens in .venv, which the first command makes: nothing is installed outside it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test lint bench stress clean

# Label the sample article with the model that ships, then serve that model and the page on this
# machine; the address is printed.
run: $(VENV)/.serving
	$(BIN)/rasd classify data/sample_article.txt --format table
	$(BIN)/rasd serve

# Every test.
test: $(VENV)/.dev
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The figures in README.md.
bench: $(VENV)/.dev
	$(BIN)/python benchmarks/normalize.py
	$(BIN)/python benchmarks/sentences.py
	$(BIN)/python benchmarks/classify.py
	$(BIN)/python benchmarks/serve.py

# Twelve minutes of overload, long running and idling, against the promises made of them.
stress: $(VENV)/.dev
	$(BIN)/python benchmarks/overload.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serving: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@ $(VENV)/.serving
