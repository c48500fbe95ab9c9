# What there is to make. Each target sets up .venv by itself, so nothing is needed before but Python and make.
#
#   make demo       a whole run on this machine
#   make test       all tests but the slow ones
#   make check      everything that must pass before a commit: lint, types, audit, coverage, test
#   make ci         check, and then the slow tests, which are most of the faults, and properties by more examples
#   make faults     all faults that a run must survive, the quick ones included
#   make soak       what long use leaves behind in a server and in warm ranks
#   make audit      known vulnerabilities of all dependencies, where a database can be reached
#   make coverage   the branch coverage of the files that decide
#   make fuzz       search for bytes that a parser does not bear (SECONDS=60)
#   make format     format the sources, and mend what the linter can mend
#   make aws        the tests of the stack on AWS, without AWS
#   make compose    a whole run in containers (needs Docker Compose v2)
#   make images     build the images
#   make sbom       list what the images hold
#   make reference  write docs/reference.md anew from the docstrings
#   make lock       resolve the exact versions that the images install
#   make clean      remove .venv and all else that was built here; results in out/ stay

PYTHON ?= python3
# PyTorch's own index of CPU builds, asked on Linux only. `make TORCH_INDEX=` leaves it out: then pip's own index (or
# --find-links) supplies torch, which spares minutes of retries where that index cannot be reached.
TORCH_INDEX ?= $(if $(filter Linux,$(shell uname -s)),https://download.pytorch.org/whl/cpu)
TORCH := $(shell sed -n 's/^ *"\(torch==[^"]*\)".*/\1/p' pyproject.toml)
BIN := .venv/bin
WEIGHTS := lambda_image/model/redshift
ENGINE := $(WEIGHTS).compiled/engine.json
DECIDING := $(addprefix rendezvous_server., admission counts deadlines effects groups idleness limits membership probes protocol \
		proxy_protocol registry relays settings waiting) \
	$(addprefix lambda_image., address cost errors partition_names request_times results settings) \
	$(addprefix lambda_image.comm., channel.frames channel.handshake channel.signals connecting.backoff \
		connecting.candidates connecting.membership connecting.nat operations.cost_model operations.operation \
		operations.reduction operations.transfer operations.trees peer_facts) \
	$(addprefix lambda_image.data., dataset file_content formats partition_shapes quality safetensors_format torch_format)
# What tests/aws judges the stack with. Each has an environment of its own: checkov pins an old boto3, and none of them is
# needed for anything else. ministack executes CloudFormation, parliament and iam-simulate judge policies, and
# asl-validator judges state machines.
AWS_PYTHON_TOOLS := ministack==1.5.33 checkov==3.3.30 parliament==1.6.4
AUDIT_TOOL := pip-audit==2.10.1
# What tests/integration/test_rail.py measures redshift distributions with.
RAIL_TOOLS := pz-rail-base==2.0.11 pyarrow
AWS_NODE_TOOLS := asl-validator@4.0.0 @cloud-copilot/iam-simulate@0.1.173
# What tests/integration/test_report.py judges pages with.
BROWSER_TOOLS := axe-core@4.14.1
SOURCES := architecture bfloat16 cxx eager engine_digests fast folding inputs

SECONDS ?= 60

.PHONY: demo aws test check ci audit coverage faults soak fuzz format lint types clean compose images lock reference sbom

demo: .venv/demo $(ENGINE)
	@$(BIN)/cosmicai demo

test: .venv/dev .venv/aws/ready .venv/browser/ready
	$(BIN)/python -m pytest -m 'not slow'

# Every fault in a real run; `python -m tests.faults` prints the table of docs/faults.md.
faults: .venv/dev
	$(BIN)/python -m pytest tests/faults

aws: .venv/dev .venv/aws/ready
	$(BIN)/python -m pytest tests/aws

soak: .venv/dev
	@$(BIN)/python -m tests.soak

# Coverage guides the search on Linux, where Atheris is installed.
fuzz: .venv/dev
	@$(BIN)/pip install --quiet --editable '.[fuzz]'
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

check: .venv/dev lint types audit coverage test

# What `check` has played is not played again.
ci: check .venv/rail/ready
	$(BIN)/python -m pytest -m slow
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=thorough tests/unit

# A database that cannot be reached is one line, and no failure.
audit: .venv/dev .venv/audit/ready
	@$(BIN)/python -m scripts.maintenance.audit

# Every branch of the files that decide is taken by an example; properties come on top of that.
coverage: .venv/dev
	$(BIN)/python -m pytest --quiet tests/unit/rendezvous_server tests/unit/lambda_image \
		--ignore=tests/unit/lambda_image/model -m 'not hypothesis' -p no:cacheprovider $(DECIDING:%=--cov=%) \
		--cov-branch --cov-fail-under=100 --cov-report=term:skip-covered

lint: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/dev
	$(BIN)/mypy

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

compose:
	@scripts/compose.sh

images:
	docker compose build
	LAMBDA_TARGET=slim docker compose build rank
	LAMBDA_TARGET=onnx docker compose build rank

# What the images install, exactly; versions stay where they fit (remove a file of requirements/ to take the newest).
lock: .venv/dev
	$(BIN)/python -m scripts.maintenance.lock

reference: .venv/dev
	$(BIN)/python -m scripts.maintenance.reference

# What the images hold, as CycloneDX lists.
sbom: images
	@mkdir -p out/sbom
	$(PYTHON) -m scripts.maintenance.sbom cosmicai-lambda:full > out/sbom/lambda-full.json
	$(PYTHON) -m scripts.maintenance.sbom cosmicai-lambda:slim > out/sbom/lambda-slim.json
	$(PYTHON) -m scripts.maintenance.sbom cosmicai-lambda:onnx > out/sbom/lambda-onnx.json
	$(PYTHON) -m scripts.maintenance.sbom cosmicai-rendezvous > out/sbom/rendezvous.json
	$(PYTHON) -m scripts.maintenance.sbom cosmicai-local > out/sbom/local.json

# The results in out/ are the user's, as are models/ and wheels/.
clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage $(WEIGHTS).compiled

# The stamp files remember what was installed; a change of pyproject.toml installs anew.
.venv/torch: pyproject.toml
	@echo 'installing into .venv (about a minute)'
	@test -d .venv || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo '$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12'; exit 1; }
	@test -d .venv || $(PYTHON) -m venv .venv
	@$(if $(TORCH_INDEX),$(BIN)/pip install --quiet --retries 1 --no-deps --index-url $(TORCH_INDEX) $(TORCH) || echo 'no CPU build of PyTorch from its own index; pip takes what it finds')
	@touch $@

.venv/demo: .venv/torch
	@$(BIN)/pip install --quiet --editable '.[local,report,completion]'
	@touch $@

.venv/dev: .venv/torch
	@$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@ .venv/demo

.venv/aws/ready: Makefile | .venv/torch
	@echo 'installing what tests/aws needs into .venv/aws (about two minutes, 480 MB)'
	@for tool in $(AWS_PYTHON_TOOLS); do \
		$(BIN)/python -m venv .venv/aws/$${tool%%=*} && .venv/aws/$${tool%%=*}/bin/pip install --quiet $$tool || exit 1; \
	done
	@if command -v npm >/dev/null; then npm install --silent --no-fund --no-audit --prefix .venv/aws/node $(AWS_NODE_TOOLS); \
	else echo 'npm is not here: the tests that need Node.js will be skipped'; fi
	@touch $@

.venv/browser/ready: Makefile | .venv/torch
	@mkdir -p .venv/browser
	@if command -v npm >/dev/null; then npm install --silent --no-fund --no-audit --prefix .venv/browser $(BROWSER_TOOLS); \
	else echo 'npm is not here: the test of how accessible reports are will be skipped'; fi
	@touch $@

.venv/audit/ready: Makefile | .venv/torch
	@{ $(BIN)/python -m venv .venv/audit && .venv/audit/bin/pip install --quiet --retries 1 $(AUDIT_TOOL); } || echo 'pip-audit could not be installed'
	@touch $@

# RAIL installs 650 MB, which only a slow test needs.
.venv/rail/ready: Makefile | .venv/torch
	@echo 'installing RAIL into .venv/rail (about a minute, 650 MB)'
	@{ $(BIN)/python -m venv .venv/rail && .venv/rail/bin/pip install --quiet --retries 1 $(RAIL_TOOLS); } || { rm -rf .venv/rail; mkdir .venv/rail; echo 'RAIL could not be installed: its test will be skipped'; }
	@touch $@

# The native engine for the shipped weights, where there is a compiler; PyTorch infers elsewhere, and says so.
$(ENGINE): .venv/demo $(WEIGHTS).safetensors $(patsubst %,lambda_image/model/%.py,$(SOURCES)) $(wildcard lambda_image/model/native/*)
	@! command -v g++ >/dev/null || $(BIN)/cosmicai compile || echo 'PyTorch will infer instead'
