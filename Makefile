# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench clean

demo: .venv/ready
	$(BIN)/osler train digits --out runs/demo

# A process for each core, which then needs no threads.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/ready .venv-peers/ready
	$(BIN)/python -m benchmarks.blocks
	$(BIN)/python -m benchmarks.throughput --peers
	.venv-peers/bin/python -m benchmarks.resnet

# The pinned torch goes in first: the rest then finds it there.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# Other toolkits, to compare with; here, too, the pinned torch goes in first.
.venv-peers/ready: benchmarks/peers-requirements.txt constraints.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r $<
	touch $@

clean:
	rm -rf .venv .venv-peers .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build
