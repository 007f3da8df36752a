# `make help` lists the targets. PYTHON and TENSORFLOW (cpu or gpu) can be set on the command line.

# A .venv keeps its Python; -I: whatever PYTHONHOME and PYTHONPATH say.
PYTHON ?= $(shell for p in .venv/bin/python python3 python3.12 python3.11 python3.13; do \
	$$p -I -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1 && echo $$p && break; done)
TENSORFLOW ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Other code than this folder's, and the repository of a git hook that calls make, are not for what runs here.
unexport PYTHONHOME PYTHONPATH PYTHONSAFEPATH $(shell git rev-parse --local-env-vars 2>/dev/null)

.PHONY: help setup run test test-slow e2e lint docs ui app serve leaderboard seeds bench bench-train trial bench-loop bench-serve races faults image image-gpu lock clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: ## .venv with every package at its locked version and hash
	@test -n "$(PYTHON)" || { echo "error: Python 3.11, 3.12 or 3.13 is needed; install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -I infra/setup.py $(TENSORFLOW)

run: setup ## data, `dvc repro`, registry and summary: a fresh clone to a registered champion
	@fashion run

test: setup ## the test suite, on the real data
	@fashion data
	@python -m pytest

test-slow: setup ## the longest tests, which `make test` leaves out
	@fashion data
	@python -m pytest -m slow

e2e: setup ## the pipeline on a real cluster (KFP_HOST, a kubeconfig, and the image on its nodes)
	@fashion data
	@python -m pytest -n 0 -s -m e2e

lint: setup ## ruff, ruff format, mypy, and which module may import which
	@ruff check .
	@ruff format --check .
	@mypy
	@lint-imports

docs: setup ## the list of errors in docs/troubleshooting.md, from the code
	@python -m infra.troubleshooting

ui: setup ## the MLflow UI on the runs of this folder
	@fashion ui

app: setup ## the app in which people try the champion, in a browser
	@fashion app $(ARGS)

serve: setup ## the champion as a REST API; other options: make serve ARGS="--port 9090"
	@fashion serve $(ARGS)

bench: setup ## time and memory of the steps, of DVC with nothing to do, and of the command line
	@python -m benchmarks.steps

leaderboard: setup ## seven models in turn, into docs/leaderboard.md; a quick look: make leaderboard ARGS="--epochs-scale 0.1"
	@fashion data
	@python -m benchmarks.leaderboard $(ARGS)

seeds: setup ## our recipes with several seeds each, into docs/seeds.md
	@fashion data
	@python -m benchmarks.seeds $(ARGS)

bench-train: setup ## the plain Keras way against ours, in turn, into docs/bench-train.md
	@fashion data
	@python -m benchmarks.train $(ARGS)

trial: setup ## a variant of the recipe on held-out images, for docs/recipe.md: make trial ARGS="epochs=4 train.erase=0.5"
	@fashion data
	@python -m benchmarks.recipe $(ARGS)

bench-loop: setup ## Keras's fit against a hand-written loop
	@fashion data
	@python -m benchmarks.loop $(ARGS)

bench-serve: setup ## the REST API under load, into docs/serving.md
	@python -m benchmarks.serving $(ARGS)

pictures: setup ## pictures made from test images: how often the champion says the same, into docs/use.md
	@fashion data
	@python -m benchmarks.pictures $(ARGS)

races: setup ## promoters at the same moment, on MLflow servers with SQLite and PostgreSQL, into docs/races.md
	@RACES_EXAMPLES=5000 python -m pytest -n 0 tests/components/registry/test_interleavings.py
	@python -m benchmarks.races $(ARGS)

faults: setup ## kill -9, full disks, dead servers and more, into docs/faults.md; a quick look: make faults ARGS="--rounds 5"
	@fashion data
	@python -m tests.faults $(ARGS)

image: ## the image of the steps, for CPUs; tagged by commit (variables: infra/image/build)
	@infra/image/build cpu

image-gpu: ## the same with CUDA
	@infra/image/build gpu

lock: setup ## the hash locks anew, from pyproject.toml
	@for kind in cpu gpu; do uv pip compile --quiet --universal --generate-hashes --no-header \
		--python-version 3.11 --extra $$kind --extra app --extra dev pyproject.toml --output-file requirements/$$kind.txt; done

clean: ## removes .venv and the caches of tools (not data, outputs, runs or DVC's cache)
	@rm -rf .venv build *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
