# make demo    real research in a few minutes, on any CPU
# make test    all tests
# make check   formatter, linter, types, layers
#
# Each makes .venv by itself: with uv where it is, else with venv and pip.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready
# One more than there are cores, since tests wait as well as work; at most 8.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 7 ? n + 1 : 8)))

# What is imported a thousand times is compiled once, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check format clean

demo: $(STAMP)
	$(BIN)/autoresearch demo

test: $(STAMP)
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --fail-under 90

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/links.py

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv demo .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# torch comes first and by plain pip: a CPU build that lies ready is then taken.
$(STAMP): pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
		test -x $(BIN)/python || uv venv --quiet --seed .venv; \
		$(BIN)/python -m pip install --quiet 'torch>=2.10,<2.14' && \
		uv pip install --quiet --compile-bytecode --python $(BIN)/python -e '.[gpt,hub,oneshot,exports,watch,dev]'; \
	else \
		test -x $(BIN)/python || $(PYTHON) -m venv .venv; \
		$(BIN)/python -m pip install --quiet 'torch>=2.10,<2.14' && \
		$(BIN)/python -m pip install --quiet -e '.[gpt,hub,oneshot,exports,watch,dev]'; \
	fi
	@touch $@
