# Two commands are enough: `make sweep` (set-up, experiments, figures) and `make test`.
#
#   make sweep EXPERIMENT=tegum   one experiment        make figures   redraw from the store
#   make sweep TINY=1             a few minutes         make bench     timings against peers
#   make paper                    every figure of the superposition papers, and docs/verdicts.md
#   make check                    ruff and mypy         make clean     drop .venv and caches, keep results

PYTHON ?= python3
BIN := .venv/bin
CHEAP := intro phase_diagram capacity
EXPERIMENTS := $(if $(EXPERIMENT),$(EXPERIMENT),tegum multicomponent superposition $(CHEAP))
SCALE := $(if $(TINY),tiny,$(if $(FULL),full,default))

# Without byte code every import of JAX is compiled anew; the cache keeps compiled programs between runs.
unexport PYTHONDONTWRITEBYTECODE
export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.cache/jax

.PHONY: setup sweep paper figures test check bench clean

setup: .venv/ready

.venv/ready: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "toymodels needs Python 3.11 or newer; set PYTHON=python3.x")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

sweep: setup
	@for name in $(EXPERIMENTS); do echo "== $$name"; $(BIN)/toymodels run $$name --scale $(SCALE) || exit $$?; done

paper: setup
	@for name in $(basename $(notdir $(wildcard experiments/*.py))); do \
	  echo "== $$name"; $(BIN)/toymodels run $$name --scale $(SCALE) || exit $$?; done
	$(BIN)/toymodels verdicts --scale $(SCALE) $(if $(TINY)$(FULL),,--out docs/verdicts.md)

figures: setup
	@for name in $(EXPERIMENTS); do $(BIN)/toymodels figure $$name --scale $(SCALE) || exit $$?; done

test: setup
	$(BIN)/python -m pytest -n 2

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .cache build *.egg-info
