# Everything is installed in .venv, which the first target creates, and nothing outside it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test lint bench stress lock audit clean

# Label the sample article with the default model, then start the service and its web page on this
# machine and print the URL.
run: $(VENV)/.serving
	$(BIN)/rasd classify data/sample_article.txt --format table
	$(BIN)/rasd serve

# Run every test, in two processes. Idle threads of PyTorch must sleep: beside another process their
# busy waiting makes a training many times slower.
test: $(VENV)/.dev
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Measure speed on this machine: the tables of docs/performance.md.
bench: $(VENV)/.dev
	$(BIN)/python benchmarks/normalize.py
	$(BIN)/python benchmarks/sentences.py
	$(BIN)/python benchmarks/classify.py
	$(BIN)/python benchmarks/serve.py

# Load test of 23 minutes: idle, overload, mixed load, hostile clients. Fails if a limit is exceeded.
stress: $(VENV)/.dev
	$(BIN)/python benchmarks/overload.py

# Write the installed versions to constraints.txt: after an upgrade, once the tests have passed.
lock: $(VENV)/.dev
	$(BIN)/python scripts/lock.py

# List the known vulnerabilities of the versions in constraints.txt. Needs a network: fails where a
# version cannot be looked up.
audit: $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet pip-audit
	$(VENV)/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serving: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@ $(VENV)/.serving
