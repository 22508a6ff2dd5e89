# Everything starts here; each target sets up what it needs.
# A .venv that is there is renewed with its own Python.
PYTHON ?= $(shell .venv/bin/python -c "" 2>/dev/null && echo .venv/bin/python || echo python3)
COMPILE := uv pip compile --quiet --universal --python-version 3.10 --fork-strategy fewest \
	--generate-hashes --no-header --annotation-style line pyproject.toml

.PHONY: setup dev demo check test bench lock clean

setup:  ## make .venv (Python 3.10+, git and make are all it takes); team storage: make setup EXTRAS="s3 ssh"
	@$(PYTHON) tools/datarepo/setup.py $(EXTRAS)
	@echo ".venv is ready"
	@echo "next: . .venv/bin/activate && tools/add-asset vqa"

dev:  # what the targets below need beside
	@$(PYTHON) tools/datarepo/setup.py dev

demo: dev  ## the main job from start to end, on an emulated Azure on this machine
	@.venv/bin/python -m tests.demo

check: dev  ## format, lint and types
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy

test: check  ## everything that has to hold
	@.venv/bin/python -m pytest -n auto -q

bench: dev  ## what it costs beside wget, AzCopy, unzip and DVC as it comes; one part: make bench PART=unzip
	@.venv/bin/python -m tests.bench $(PART)

lock:  ## write the lock files anew from pyproject.toml, with uv
	@$(COMPILE) --group dev --all-extras -o requirements-dev.lock >/dev/null
	@for extra in s3 ssh; do \
		$(COMPILE) --extra $$extra -c requirements-dev.lock -o requirements-$$extra.lock >/dev/null || exit; done
	@$(COMPILE) -c requirements-dev.lock -o requirements.lock >/dev/null

clean:  ## forget the environment and what the tools of the trade left
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
