# Every target makes the virtual environment it needs; only Python 3.11 or newer
# and make have to be there. Variables: PYTHON, VENV, EXTRA, WORKERS, ARGS,
# CASE_LIMIT (seconds of processor time that a fast test may take).

VENV ?= .venv
# Eight at most: each worker needs up to three gigabytes.
CORES := $(shell n=$$(getconf _NPROCESSORS_ONLN || echo 2); echo $$((n < 8 ? n : 8)))
CASE_LIMIT ?= 15
ARGS ?=

PY := $(VENV)/bin/python
# Compiling every installed module would take as long as all the rest; Python
# compiles those it needs when it first imports them, and has to keep them then.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(PY) -m pip --disable-pip-version-check install -q --no-compile
RUN_READY := $(VENV)/.run-ready
DEV_READY := $(VENV)/.dev-ready

# Extras that `quickstart` and `venv` add to those of requirements.txt, with commas.
EXTRA ?=
EXTRAS := convert cuda docs gcs hub notebooks onnx page sweeps tpu wandb
comma := ,
UNKNOWN := $(filter-out $(EXTRAS),$(subst $(comma), ,$(EXTRA)))
$(if $(UNKNOWN),$(error EXTRA=$(EXTRA) names no extra that can be added; \
	expected one of $(EXTRAS), or several with commas))
# Each is installed once, and again only with what it stands on.
EXTRA_READY := $(patsubst %,$(VENV)/.extra-%-ready,$(subst $(comma), ,$(EXTRA)))

# The first Python that really starts (version managers leave stubs that do
# not) and can make environments; releases that some library may have no wheels
# for yet come last.
PYTHON ?= $(shell for below in 14 99; do \
	for python in python3 python3.13 python3.12 python3.11 python python3.14; do \
	$$python -c "import sys, venv, ensurepip; \
	sys.exit(not (3, 11) <= sys.version_info[:2] < (3, $$below))" \
	2>/dev/null && echo $$python && exit; done; done)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## show this list
	@echo "usage: make TARGET [EXTRA=cuda] [ARGS='more arguments']"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1 \2/p' $(MAKEFILE_LIST) | \
		while read -r target text; do printf '  %-12s %s\n' "$$target" "$$text"; done

.PHONY: quickstart
quickstart: venv ## generate data, train, evaluate and draw, in minutes on a CPU (EXTRA=cuda: on a GPU)
	$(PY) scripts/prepare_data.py --dataset=shapes --data_dir=data
	$(PY) scripts/train.py --config=experiments/quickstart.py --workdir=runs/quickstart
	@echo "pictures: runs/quickstart/predictions, metrics: runs/quickstart/result.json"

# A file's cases share what they make, so one worker runs them all.
PYTEST = $(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
test test-slow test-detectors: export HRNET_JAX_CACHE ?= $(CURDIR)/.cache/xla

# The fast tier compiles more than it computes, so its programs are not optimised;
# those of the slow tier are as users have them.
test: export XLA_FLAGS += --xla_backend_optimization_level=0

# Tests of these tiers wait for many processes that they start.
test test-slow: WORKERS ?= $(shell expr $(CORES) + 1)
test-detectors test-foreign: WORKERS ?= $(CORES)

.PHONY: test
test: $(DEV_READY) ## run the fast tests (ARGS=tests/data, ARGS='-m slow', ...)
	$(PYTEST) --case-limit $(CASE_LIMIT) $(ARGS)

.PHONY: test-all
test-all: test test-slow ## run all tests, the fast ones first

# Of what ARGS names, nothing may be slow: pytest calls that 5.
.PHONY: test-slow
test-slow: $(DEV_READY) ## run only the tests that `make test` leaves out
	$(PYTEST) -m 'slow and not convert and not detectors and not foreign' $(ARGS) || test $$? = 5

.PHONY: test-detectors
test-detectors: $(DEV_READY) ## compare whole detectors with mmdetection's, half an hour
	$(PYTEST) --dist load -m detectors $(ARGS)

.PHONY: test-foreign
test-foreign: $(DEV_READY) ## give every reader ten thousand damaged files, ten minutes
	$(PYTEST) -m foreign $(ARGS)

.PHONY: test-convert
test-convert: $(DEV_READY) ## compare with timm's own models (installs torchvision and timm)
	$(PIP) -e '.[convert]'
	$(PY) -m pytest -m convert $(ARGS)

.PHONY: lint
lint: $(DEV_READY) ## check style, formatting and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

.PHONY: format
format: $(DEV_READY) ## mend style and formatting
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

.PHONY: notebooks
notebooks: $(DEV_READY) ## execute the notebooks and save them (ARGS=--check: compare)
	$(PY) -m tools.run_notebooks $(ARGS)

# The theme's authors announce what comes after it in every build.
.PHONY: docs
docs: export NO_MKDOCS_2_WARNING = 1
docs: $(VENV)/.extra-docs-ready ## build the documentation as a site one can search
	$(PY) -m mkdocs build --strict $(ARGS)
	@echo "written to build/site; to read and search it: $(PY) -m mkdocs serve"

.PHONY: hooks
hooks: $(DEV_READY) ## let git check style before each commit
	$(PY) -m pre_commit install

.PHONY: venv
venv: $(RUN_READY) $(EXTRA_READY) ## set up what quickstart needs, nothing else (EXTRA=cuda,wandb: these too)

.PHONY: venv-dev
venv-dev: $(DEV_READY) ## set up what the tests need, nothing else

.PHONY: clean
clean: ## remove the environment and all caches; data/ and runs/ stay
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer that can make" \
		"virtual environments; install one (Debian: also python3-venv) or name" \
		"it: make PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)

$(RUN_READY): requirements.txt pyproject.toml | $(PY)
	@echo "installing requirements.txt into $(VENV): a minute or two, once"
	$(PIP) -r requirements.txt
	$(PIP) --no-deps -e .
	@touch $@

$(VENV)/.extra-%-ready: $(RUN_READY)
	@echo "installing the extra [$*] into $(VENV), once"
	$(PIP) -e '.[$*]'
	@touch $@

$(DEV_READY): requirements-dev.txt $(RUN_READY)
	@echo "installing requirements-dev.txt into $(VENV), once"
	$(PIP) -r requirements-dev.txt
	@touch $@
