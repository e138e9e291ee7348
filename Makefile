# What a person types is listed by `make help`. Every command sets up first what it needs, from the locks in locks/:
#
# .venv           the project: CDK app, whippet command, tests (with node, npm and cdk in its bin)
# .envs/cloud     the local cloud (it pins its own botocore)
# .envs/training  what the training image holds, and test tools
# .envs/inference what the endpoint's container holds, and test tools
# .envs/tools     uv, which makes the others
# .envs/conformance  AWS's SageMaker SDK, a judge of the API; `make conformance` alone makes it
# .envs/checkov      a judge of the template; `make conformance` alone makes it
# .envs/microburst   a judge of the commands, which injects faults; `make conformance` alone makes it

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && echo $$p && break; done)
UV := .envs/tools/bin/uv
RUN := $(UV) run
IN_TRAINING := .envs/training/bin/python
IN_INFERENCE := .envs/inference/bin/python
IN_CLOUD := .envs/cloud/bin/python
ENVIRONMENTS := .envs/cloud/.ready .envs/training/.ready .envs/inference/.ready

# Every package is a wheel, so that nothing is compiled, but three of training that exist as source only. Of
# sagemaker-training only the Python part is built; local/training_image/ stands in for its C extension. What builds them
# (setuptools) comes from the lock, too. docs/decisions/locked-environments.md says why.
SYNC := $(UV) pip sync --quiet --require-hashes --only-binary :all:
SOURCE_ONLY := --no-binary inotify-simple --no-binary sagemaker-pytorch-training --no-binary sagemaker-training \
	--build-constraints locks/training.txt \
	--config-settings-package 'sagemaker-training:--global-option=build_py' \
	--config-settings-package 'sagemaker-training:--build-option=--skip-build' --reinstall-package sagemaker-training

# How many targets run beside each other, and how many processes share the tests of a large one.
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)

# Makes the targets that follow it side by side. All of them run even if one fails, and each one's output stays together
# (where make can do that: version 3.81, which macOS has, mixes it).
SIDE_BY_SIDE := +@$(MAKE) --no-print-directory --keep-going --jobs=$(JOBS) \
	$(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

# A file's tests stay in one process: they share fixtures that are expensive, and some build on each other.
SPREAD := --numprocesses $(JOBS) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help setup demo check test conformance platforms lint bench soak synth deploy destroy stop clean locks

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: .venv/.ready node_modules/.ready $(ENVIRONMENTS) ## every environment, from the locks

demo: setup ## the whole system on this machine: deploy, tune, train, release, classify
	$(RUN) whippet demo

# The longest come first, so that none is left over at the end with idle cores beside it.
check: setup ## while editing: linters, and every test that needs no local cloud
	$(SIDE_BY_SIDE) test-training lint-app test-app lint-training lint-inference lint-style test-inference

test: setup ## every test that needs no more than the set-up
	$(SIDE_BY_SIDE) test-runs test-training test-app test-cloud test-sagemaker test-inference

conformance: setup .envs/conformance/.ready .envs/checkov/.ready .envs/microburst/.ready ## AWS's SageMaker SDK on the local cloud, Schemathesis on the API, checkov on the template, microburst on the commands (1 GB more on the disk)
	$(SIDE_BY_SIDE) test-sdk test-faults test-checkov

platforms: setup ## ask the package index for every lock on every promised platform
	$(RUN) pytest --numprocesses $(JOBS) tests/locks

lint: setup ## ruff, mypy, formatting
	$(SIDE_BY_SIDE) lint-app lint-training lint-inference lint-style

bench: setup ## measured side by side with what a user would pick instead
	$(RUN) python -m benchmarks

soak: setup .envs/microburst/.ready ## the same run again and again on one local cloud, rollouts under load, every fault at every call of every command, and half an hour of load on the server
	$(RUN) pytest -s tests/system/soak
	WHIPPET_EVERY_FAULT=true $(RUN) pytest -s tests/system/faults
	$(IN_INFERENCE) -m benchmarks.soak

synth: setup ## the CloudFormation template, in cdk.out
	$(RUN) cdk synth --quiet

deploy: setup ## to the AWS account of your credentials
	$(RUN) cdk deploy

destroy: setup ## from the AWS account of your credentials
	$(RUN) cdk destroy

stop: ## end the local cloud and everything that runs in it
	@test ! -x .venv/bin/whippet || $(RUN) whippet stop

clean: stop ## remove everything that was made here
	rm -rf .venv .envs .whippet node_modules cdk.out

locks: $(UV) ## compile locks/*.in anew
	cd locks && for e in tools app cloud training inference inference-test conformance checkov microburst; do \
		also=; for k in excludes overrides; do test ! -e $$e.$$k || also="$$also --$$k $$e.$$k"; done; \
		../$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $$also $$e.in -o $$e.txt; done
	$(RUN) npm install --package-lock-only --omit-lockfile-registry-resolved

# The parts of check, test and lint. Each can be made alone. mypy looks at code in the environment that it runs in; each
# environment has a cache of its own, since runs side by side must not write into one.
.PHONY: lint-style lint-app lint-training lint-inference
lint-style: setup
	$(RUN) ruff check . && $(RUN) ruff format --check .

lint-app: setup
	$(RUN) mypy

lint-training: setup
	$(RUN) mypy --cache-dir .mypy_cache/training --python-executable $(IN_TRAINING) \
		training tests/training $(filter-out %/search_trials.py %/head_peers.py %/doctor_peers.py %/serving_peers.py %/idle.py %/bill.py,$(wildcard benchmarks/*.py))

lint-inference: setup
	$(RUN) mypy --cache-dir .mypy_cache/inference --python-executable $(IN_INFERENCE) inference tests/inference \
		cli/exported

# test-app takes the folders from pyproject.toml. Those of test-cloud and test-sagemaker start local clouds whose images are
# toy programs; those of test-runs drive whole systems as a user does, each file on a local cloud of its own.
.PHONY: test-app test-training test-inference test-cloud test-sagemaker test-runs test-sdk test-faults test-checkov
test-app: setup
	$(RUN) pytest $(SPREAD)

test-training: setup
	$(IN_TRAINING) -m pytest $(SPREAD) tests/training

test-inference: setup
	$(IN_INFERENCE) -m pytest tests/inference

test-cloud: setup
	$(RUN) pytest $(SPREAD) tests/local/cloud

test-sagemaker: setup
	$(IN_CLOUD) -m pytest tests/local/sagemaker

test-runs: setup
	$(RUN) pytest $(SPREAD) tests/system/test_*.py

# The SDK's own code warns as Python reads it, which would end its import where warnings are errors.
test-sdk: .envs/conformance/.ready
	.envs/conformance/bin/python -m pytest -W ignore tests/conformance

test-faults: .envs/microburst/.ready
	$(RUN) pytest -s tests/system/faults

test-checkov: .envs/checkov/.ready
	$(RUN) pytest tests/infra/test_checkov.py

$(UV): locks/tools.txt
	@test -n "$(PYTHON)" || { echo "whippet needs Python 3.11, 3.12 or 3.13 on the PATH and found none: install one, or run make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -m venv --clear .envs/tools || { echo "$(PYTHON) -m venv failed (see above): on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	.envs/tools/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r locks/tools.txt
	@touch $@

.venv/.ready: locks/app.txt pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	$(SYNC) --python .venv locks/app.txt
	$(UV) pip install --quiet --python .venv --no-deps --no-build-isolation --editable .
	.venv/bin/python -m cli.node .venv/bin
	@touch $@

# The tests of the serving code run beside the very versions that its container gets.
.envs/inference/.ready: locks/inference-test.txt | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .envs/inference
	$(SYNC) --python .envs/inference locks/inference-test.txt
	@touch $@

.envs/training/.ready: locks/training.txt $(wildcard local/training_image/*.py) | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .envs/training
	$(SYNC) $(SOURCE_ONLY) --python .envs/training locks/training.txt
	$(IN_TRAINING) local/training_image/stand_ins.py
	@touch $@

.envs/%/.ready: locks/%.txt | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .envs/$*
	$(SYNC) --python .envs/$* locks/$*.txt
	@touch $@

node_modules/.ready: package-lock.json .venv/.ready
	$(RUN) npm ci --silent
	@touch $@
