# Everything that is done here is done by one of these words. Needs Python >= 3.11 with venv, git and make; the rest
# is fetched into .venv. Nothing is written outside this folder but for caches (uv, Keystone, the counterparts of
# docs/counterparts.md, which need Go too) in the user's cache folder.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Where this is set, as in many images, each process compiles all that it imports anew: `hanse` would start in double the time.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
# One more than there are processors: many tests wait for a server or a process of their own.
WORKERS := $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))
REPORT := .pytest_cache/report.xml
REPORT_KUBERNETES := .pytest_cache/report-kubernetes.xml

# The newest Python that is new enough, really runs (a name on the PATH may be a shim without anything behind it) and
# can make virtual environments.
define find_python
found=; for name in python3.13 python3.12 python3.11 python3; do \
	    "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    found=$$name; "$$name" -c 'import venv, ensurepip' 2>/dev/null && break; \
	  done; \
	  [ -n "$$found" ] || { echo "Hanse needs Python 3.11 or newer; none was found on the PATH" \
	    "(Debian 12: apt install python3 python3-venv)." >&2; exit 1; }; \
	  "$$found" -c 'import venv, ensurepip' 2>/dev/null || { echo "$$found has no venv and ensurepip, which Hanse needs" \
	    "(Debian: apt install python3-venv)." >&2; exit 1; }
endef

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(READY) ## the main job on a real Keystone and a Kubernetes, before your eyes; KEEP=1 leaves it running
	@$(BIN)/hanse demo $(if $(KEEP),--keep)

.PHONY: test
test: $(READY) signing-programs ## all tests: Keystone is a real one, Kubernetes the simulator; ARGS='-k name' chooses
	@mkdir -p $(dir $(REPORT))
	@$(BIN)/pytest --numprocesses=$(WORKERS) --dist=worksteal --junit-xml=$(REPORT) $(ARGS)

.PHONY: signing-programs
signing-programs:
	@for name in gpg:gnupg ssh-keygen:openssh-client; do command -v "$${name%:*}" >/dev/null || { \
	  echo "The tests need $${name%:*}, which is not on the PATH (Debian: apt install $${name#*:})." >&2; exit 1; }; done

.PHONY: test-whole
test-whole: ## as test, with the whole contract on the real Keystone too: about an hour
	@HANSE_CONFORMANCE=whole $(MAKE) test

.PHONY: test-kubernetes
test-kubernetes: counterparts ## the tests of Kubernetes on a real API server; ARGS='-k name' chooses
	@mkdir -p $(dir $(REPORT_KUBERNETES))
	@HANSE_KUBERNETES=real $(BIN)/pytest --numprocesses=auto --dist=loadfile --junit-xml=$(REPORT_KUBERNETES) \
	  tests/kubernetes tests/conformance/test_kubernetes.py $(ARGS)

.PHONY: counterparts
counterparts: $(READY) ## build the real servers that tests run on, once; needs Go, see docs/counterparts.md
	@$(BIN)/python counterparts/build.py

.PHONY: check
check: $(READY) ## style, types, the import law, docs in step with the code
	@echo "ruff: lint and format"
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@echo "mypy --strict"
	@$(BIN)/mypy
	@echo "import-linter"
	@$(BIN)/lint-imports
	@echo "tidy: docs in step with the code"
	@$(BIN)/pytest tests/tidy

.PHONY: bench
bench: $(READY) $(VENV)/ready-bench ## ratios against yardsticks of the same run; bench/README.md says which
	@$(BIN)/python -m bench $(ARGS)

.PHONY: golden
golden: $(READY) ## rewrite the golden files of what people read; look at the difference before you commit it
	@HANSE_GOLDEN=rewrite $(BIN)/pytest -m golden $(ARGS)

.PHONY: docs
docs: $(READY) ## remake the tables of the reference pages from the types
	@HANSE_GOLDEN=rewrite $(BIN)/pytest tests/tidy/test_reference.py

.PHONY: lock
lock: $(READY) ## remake the locks in requirements/; ARGS=--upgrade moves them to the newest releases
	@requirements/lock $(ARGS)

.PHONY: clean
clean: ## remove what the other targets made in this folder
	@rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- the virtual environment

$(READY): requirements/dev.txt requirements/uv.txt pyproject.toml
	@command -v git >/dev/null || { echo "Hanse needs git, which is not on the PATH (Debian: apt install git)." >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  $(find_python); \
	  echo "making $(VENV) with $$($$found --version)"; \
	  "$$found" -m venv --clear $(VENV); }
	@echo "installing what requirements/dev.txt locks"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --requirement requirements/dev.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/ready-bench: requirements/bench.txt | $(READY)
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --requirement requirements/bench.txt
	@touch $@
