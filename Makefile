# `make` lists what there is. Everything runs inside .venv; nothing is installed anywhere else
# but Toxiproxy's server, which goes into the user's cache.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo demo-compose images test truth truth-clean survival check scenarios lint format bench fuzz sample lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 ..."; exit 4; }
	@echo "installing into .venv (the first time takes a minute)"
	@if command -v uv >/dev/null 2>&1; then \
		uv venv -q --allow-existing --python "$$(command -v $(PYTHON))" .venv && \
		uv pip install -q --python $(BIN)/python -r requirements.lock && \
		uv pip install -q --python $(BIN)/python --no-deps -e . ; \
	else \
		$(PYTHON) -m venv .venv && \
		$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.lock && \
		$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e . ; \
	fi
	@touch $@

install: $(INSTALLED) ## make .venv, install the locked versions, provide Toxiproxy
	@$(BIN)/python -m harness.links.provision

demo: install ## run the quick scenarios against the sample shop and show the verdicts
	@$(BIN)/harness run scenarios --tag quick

images: install ## build the images of the Compose backend; no image registry is needed
	@PYTHON=$(BIN)/python compose/images

demo-compose: install ## the quick scenarios in Docker Compose (an engine of its own where none runs)
	@said=$$(.ci/docker start) && eval "$$said" && $(MAKE) --no-print-directory images && $(BIN)/harness run scenarios --tag quick --backend compose

test: install ## every test that needs no Docker
	@echo "running the tests"
	@$(BIN)/python -m pytest

truth: install ## runs that lie, each in one way: what the judge says of them (five minutes)
	@$(BIN)/python -m tests.truth

truth-clean: install ## three clean scenarios 50 times each: all pass, none differs from itself; RUNS=50, JOBS=2
	@$(BIN)/python -m tests.truth --clean $(or $(RUNS),50) --side-by-side $(or $(JOBS),1)

survival: install ## kill real runs anywhere, 100 times, and see that nothing is left; KILLS=10, SEED=n, JOBS=3, BACKEND=compose
ifeq ($(BACKEND),compose)
	@$(BIN)/python -m tests.survival.compose --kills $(or $(KILLS),30) --seed $(or $(SEED),1)
else
	@$(BIN)/python -m tests.survival --kills $(or $(KILLS),100) --seed $(or $(SEED),1) --side-by-side $(or $(JOBS),1)
endif

scenarios: install ## every shipped scenario: ordinary, must_fail and inconclusive
	@$(BIN)/harness run scenarios

check: lint test scenarios ## what CI runs

lint: install ## ruff and mypy
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: install ## put every file into the one format
	@$(BIN)/ruff check --fix -q . ; $(BIN)/ruff format -q .

bench: install ## the measured claims: one table and one JSON line each
	@ended=0; for program in benchmarks/*.py; do echo "== $$program"; $(BIN)/python $$program || ended=$$?; done; exit $$ended

fuzz: install ## ten thousand malformed inputs, ten thousand hostile streams through the gate; SEED=n
	@$(BIN)/python fuzz/inputs.py --cases 10000 --seed $(or $(SEED),1) --reports reports
	@$(BIN)/python fuzz/gate.py --streams 10000 --seed $(or $(SEED),1) --reports reports

sample: install ## reports/sample: a real run's reports and their picture (needs Chromium: .ci/chromium.sh)
	@$(BIN)/python docs/sample.py

lock: ## resolve requirements.lock anew (needs uv)
	uv pip compile --universal --python-version 3.11 --extra dev --generate-hashes --no-emit-index-url \
		--no-header --custom-compile-command "make lock" -q pyproject.toml -o requirements.lock

clean: ## undo what any run left behind, remove .venv
	@-test -x $(BIN)/harness && $(BIN)/harness clean
	rm -rf .venv
