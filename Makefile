# Two commands are enough: `make sweep` (set-up, experiments, figures) and `make test`.
#
#   make sweep EXPERIMENT=tegum   one experiment        make figures   redraw from the store
#   make sweep TINY=1             a few minutes         make bench     timings against peers
#   make paper                    every experiment, and docs/verdicts.md
#   make claims                   every claim worked out, and docs/ledger.md (CLAIM=A4: one)
#   make report                   report.html, everything on one page (EXPERIMENT=intro: one; models to scrub need a sweep)
#   make replicate                every experiment on fresh seeds, and docs/replication.md (OFFSET=5000)
#   make mutation                 every criterion inverted: does a test fail?  (docs/mutation.md)
#   make test-slow                every experiment at tiny scale, whole
#   make test-long                many faults, command lines, clusters, drawn examples (the default tests try a handful)
#   make docs                     build/docs/index.html: tutorial, how-tos, ledger, reference, offline
#   make test-browser             the report in headless Chromium (Debian's chromium and chromium-driver)
#   make trust                    faults, settings, convergence: what holds?  (docs/trust.md, docs/convergence.md)
#   make check                    ruff and mypy         make clean     drop .venv and caches, keep results

PYTHON ?= python3
BIN := .venv/bin
# In this order: while one is trained those before it are drawn, and the last ones are quickly drawn.
MAIN := phase_diagram tegum multicomponent superposition capacity intro
EXPERIMENTS := $(if $(EXPERIMENT),$(EXPERIMENT),$(MAIN))
# What theory is compared with is needed by some of the others.
NEEDED := $(if $(filter-out $(MAIN),$(EXPERIMENTS)),.venv/ready-reference,setup)
SCALE := $(if $(TINY),tiny,$(if $(FULL),full,default))

# Without byte code every import of JAX is compiled anew; the cache keeps compiled programs between runs.
unexport PYTHONDONTWRITEBYTECODE
export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.cache/jax

ALL := $(basename $(notdir $(wildcard experiments/*.py)))
OFFSET ?= 5000

.PHONY: setup sweep paper claims replicate report figures test test-slow test-long test-browser check docs mutation trust bench clean

setup: .venv/ready

# Modules are compiled when they are first imported, not all at once.
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

.venv/ready: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "toymodels needs Python 3.11 or newer; set PYTHON=python3.x")'
	$(PYTHON) -m venv .venv
	$(PIP) -r requirements.lock
	$(PIP) --no-deps --editable .
	@touch $@

.venv/ready-reference: .venv/ready requirements-reference.lock
	$(PIP) -r requirements-reference.lock
	@touch $@

.venv/ready-report: .venv/ready requirements-report.lock
	$(PIP) -r requirements-report.lock
	@touch $@

.venv/ready-docs: .venv/ready-dev requirements-docs.lock
	$(PIP) -r requirements-docs.lock
	@touch $@

.venv/ready-browser: .venv/ready-dev requirements-browser.lock
	$(PIP) -r requirements-browser.lock
	@touch $@

.venv/ready-dev: .venv/ready-reference .venv/ready-report requirements-dev.lock
	$(PIP) -r requirements-dev.lock
	@touch $@

sweep: $(NEEDED)
	$(BIN)/toymodels run $(EXPERIMENTS) --scale $(SCALE)

paper: .venv/ready-reference
	$(BIN)/toymodels run $(ALL) --scale $(SCALE)
	$(BIN)/toymodels verdicts --scale $(SCALE) $(if $(TINY)$(FULL),,--out docs/verdicts.md)

claims: .venv/ready-reference
	$(BIN)/toymodels claims $(CLAIM) --run --scale $(SCALE) $(if $(TINY)$(FULL)$(CLAIM),,--out docs/ledger.md)

replicate: .venv/ready-reference
	$(BIN)/toymodels replicate $(EXPERIMENT) --offset $(OFFSET) --scale $(SCALE) $(if $(TINY)$(FULL)$(EXPERIMENT),,--out docs/replication.md)

report: .venv/ready-report
	$(BIN)/toymodels report $(EXPERIMENT) --scale $(SCALE)

figures: $(NEEDED)
	@for name in $(EXPERIMENTS); do $(BIN)/toymodels figure $$name --scale $(SCALE) || exit $$?; done

test: .venv/ready-dev
	$(BIN)/python -m pytest -n 2 -m "not slow and not long and not browser"

test-slow: .venv/ready-dev
	$(BIN)/python -m pytest -n 2 -m slow

test-browser: .venv/ready-browser
	$(BIN)/python -m pytest -m browser

test-long: .venv/ready-dev
	$(BIN)/python -m pytest -n 2 -m "long or hypothesis and not slow" --hypothesis-profile thorough

check: .venv/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/ready-docs
	env -u MPLBACKEND $(BIN)/python -m sphinx -W --keep-going -b html docs build/docs

mutation: .venv/ready-dev
	$(BIN)/python -m tests.mutation --out docs/mutation.md

trust: .venv/ready-dev
	$(BIN)/python -m tests.trust --out docs/trust.md
	$(BIN)/python -m tests.convergence --out docs/convergence.md

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .cache build *.egg-info
