# What a person types. Every target does the set-up it needs.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SET_UP := $(VENV)/.set-up
PROTO := .venv-proto
DOCS := .venv-docs
LAWS := tests/laws tests/journal/test_agreement.py tests/journal/test_ledger.py tests/access/test_roles.py tests/unit/test_attributes.py tests/unit/test_continuing.py

VERSIONS := 3.11 3.12 3.13

.PHONY: setup browser test test-versions check audit licences demo bench bench-against bench-metrics bench-waiting bench-peers bench-scale kill-test laws fuzz simulate chaos model proto lock docs
setup: $(SET_UP) $(PROTO)/.set-up browser

# Every file that is installed has a hash in the lock; what builds our own package is one of them.
INSTALL := -m pip install --quiet --require-hashes -r requirements-dev.lock
INSTALL_OURS := -m pip install --quiet --no-deps --no-build-isolation -e .

$(SET_UP): requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL)
	$(BIN)/python $(INSTALL_OURS)
	$(BIN)/python -m pip download --quiet --no-deps --no-binary anyio --dest var/sources "$$(grep -o '^anyio==[0-9.]*' requirements-dev.lock)"
	touch $(SET_UP)

# What generates durable_saga/pb is older than what it runs with (proto/requirements.in), so it has an environment of its own.
$(PROTO)/.set-up: proto/requirements.lock
	$(PYTHON) -m venv $(PROTO)
	$(PROTO)/bin/python -m pip install --quiet --require-hashes -r proto/requirements.lock
	touch $@

# For tests/page. As root on Debian it is installed here; elsewhere this says what is missing, and only those tests fail.
browser:
	@for name in chromium chromium-browser google-chrome; do if command -v $$name >/dev/null; then exit 0; fi; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null && exit 0; \
	fi; \
	echo "tests/page need a browser and there is none: install Chromium (Debian: apt-get install chromium)"

test: setup
	$(BIN)/python -m pytest -n $(or $(JOBS),2) --dist loadfile $(ARGS)

# Unit tests, laws, conformance and the package on every Python that we promise, each in an environment of its own. Versions that are not here are named.
test-versions: setup
	@missing=""; failed=""; for version in $(VERSIONS); do \
	  python=$$(ls $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python 2>/dev/null | tail -1); \
	  [ -n "$$python" ] || python=$$(command -v python$$version); \
	  if [ -z "$$python" ] || ! "$$python" -c "import ssl" 2>/dev/null; then missing="$$missing $$version"; continue; fi; \
	  environment=$(VENV)-$$version; echo "Python $$version"; \
	  [ $$environment/.set-up -nt requirements-dev.lock ] || { "$$python" -m venv $$environment \
	    && $$environment/bin/python $(INSTALL) \
	    && $$environment/bin/python $(INSTALL_OURS) && touch $$environment/.set-up; } || exit 1; \
	  $$environment/bin/python -m pytest -n $(or $(JOBS),2) --dist loadfile $(or $(ARGS),tests/unit tests/laws tests/conformance tests/package) || failed="$$failed $$version"; \
	done; \
	[ -z "$$missing" ] || echo "not tested, no such Python here:$$missing"; \
	[ -z "$$failed" ] || { echo "failed on Python$$failed"; exit 1; }

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/bandit -q -c pyproject.toml -r durable_saga server supply
	$(BIN)/bandit -q -t B608 -r durable_saga server supply -x server/durable_saga_server/journal
	$(BIN)/python -m supply.licences --check
	$(BIN)/python -m supply.audit

audit: setup
	$(BIN)/python -m supply.audit

licences: setup
	$(BIN)/python -m supply.licences

kill-test: setup
	$(BIN)/python -m pytest -m kill $(ARGS)

laws: setup
	LAWS_TIMES=$(or $(TIMES),20) $(BIN)/python -m pytest -n $(or $(JOBS),2) --dist loadfile $(or $(ARGS),$(LAWS))

fuzz: setup
	FUZZ_INPUTS=$(or $(INPUTS),1000000) $(BIN)/python -m pytest -s tests/attack/test_fuzz.py

simulate: setup
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),500) --seed $(or $(SEED),0) $(if $(COMMITS),--commits $(COMMITS)) $(if $(VERBOSE),--verbose) $(ARGS)

chaos: setup
	$(BIN)/python -m tests.chaos --seed $(or $(SEED),1) --minutes $(or $(MINUTES),20) $(if $(COMMITS),--commits $(COMMITS)) $(if $(NODE_DOWN),--node-down $(NODE_DOWN))

model: setup
	$(BIN)/python -m tests.model $(ARGS)

demo: setup
	CASSANDRA=$(CASSANDRA) $(BIN)/python -m examples.demo

bench-waiting: setup
	$(BIN)/python -m benchmarks.waiting

bench-scale: setup
	$(BIN)/python -m benchmarks.scale $(ARGS)

# PEERS=restate,dbos-sqlite for some of them; ROUNDS, QUICK=1, INTO, ADD=1: benchmarks/peers/__main__.py
bench-peers: setup
	$(BIN)/python -u -m benchmarks.peers

# This tree and that of a commit by turns: make bench-against COMMIT=main~20 ROUNDS=7
bench-against: setup
	$(BIN)/python -m benchmarks.against $(COMMIT)

# What counting metrics costs a step: ROUNDS
bench-metrics: setup
	$(BIN)/python -m benchmarks.metrics

bench: setup
	$(BIN)/python -m benchmarks $(ARGS)

# The site, into site/: docs/ and the reference from the docstrings. What builds it reads the code and does not import it, so it needs nothing of `make setup`.
docs: $(DOCS)/.set-up
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/python -m mkdocs build --strict --quiet

$(DOCS)/.set-up: requirements-docs.lock
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --require-hashes -r requirements-docs.lock
	touch $@

proto: setup
	$(PROTO)/bin/python proto/generate.py

# Both locks from pyproject.toml, and that of proto/: with the hashes of all files of a version, for every system and Python that we promise. What is pinned
# stays as it is where it can; UPGRADE=1 takes the newest of everything, UPGRADE=name of one. No set-up: the locks may be in conflict.
LOCK := .venv-lock
LOCKING := $(LOCK)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
  $(if $(UPGRADE),$(if $(filter 1,$(UPGRADE)),--upgrade,--upgrade-package $(UPGRADE)))
lock: $(LOCK)/bin/uv
	@for file in requirements.lock requirements-dev.lock; do \
	  if grep -q '^[<>=]\{7\}' $$file; then sed -i '/^[<>=]\{7\}/d' $$file; fi; done
	$(LOCKING) proto/requirements.in -o proto/requirements.lock
	$(LOCKING) --all-extras pyproject.toml -o requirements.lock
	$(LOCKING) --all-extras --group dev --group libraries pyproject.toml -c requirements.lock -o requirements-dev.lock
	$(LOCKING) --group pyproject.toml:docs -c requirements-dev.lock -o requirements-docs.lock

$(LOCK)/bin/uv:
	$(PYTHON) -m venv $(LOCK)
	$(LOCK)/bin/python -m pip install --quiet 'uv>=0.9'
