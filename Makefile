# Everything starts here; each target sets up what it needs.
PYTHON ?= python3

.PHONY: setup demo test check bench clean

setup:  ## make .venv from the lock files (Python 3.10+, git and make are all it takes)
	@$(PYTHON) tools/datarepo/environment.py

demo: setup  ## the main job from start to end, on an emulated Azure on this machine
	@.venv/bin/python -m tests.demo

check: setup  ## format, lint and types
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy

test: check  ## everything that has to hold
	@.venv/bin/python -m pytest -n auto -q

bench: setup  ## what it costs beside wget, AzCopy, unzip and DVC as it comes; one part: make bench PART=unzip
	@.venv/bin/python -m tests.bench $(PART)

clean:  ## forget the environment and what the tools of the trade left
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
