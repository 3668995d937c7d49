# Every command of the project; `make` alone lists them. Each one sets up what it needs first.

VENV ?= .venv
IMAGES ?=
OUT ?= out
HOST ?= 127.0.0.1
HTTP_PORT ?= 8000
GRPC_PORT ?= 8001
METRICS_PORT ?= 8002
HEALTH_PORT ?= 8003
DATA ?= data/people
JSON ?= $(OUT)/accuracy.json
TESTS ?= tests
PROCESSES ?= 2
YOLO_SEG ?=
VERSIONS ?=
OTHER ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help
help: ## list the commands and their variables
	@echo 'Commands:'
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) \
		| awk -F'|' '{ printf "%-18s%s\n", $$1, $$2 }'
	@echo
	@echo 'Variables, with their values now:'
	@echo '  IMAGES=$(IMAGES)   images and folders for demo; none: example images'
	@echo '  OUT=$(OUT)   folder for the results of demo, evaluate and bench'
	@echo '  HOST=$(HOST) HTTP_PORT=$(HTTP_PORT) GRPC_PORT=$(GRPC_PORT) METRICS_PORT=$(METRICS_PORT) HEALTH_PORT=$(HEALTH_PORT)   where serve listens'
	@echo '  DATA=$(DATA)   folder with val/ and person_val.json for evaluate and bench'
	@echo '  JSON=$(JSON)   file for the metrics of evaluate'
	@echo '  TESTS=$(TESTS)   files or folders of tests for test'
	@echo '  PROCESSES=$(PROCESSES)   how many of them run at a time'
	@echo '  YOLO_SEG=$(YOLO_SEG) OTHER=$(OTHER)   a YOLO segmenter in ONNX and a model repository, as peers for bench'
	@echo '  VERSIONS=$(VERSIONS)   MODEL/VERSION twice or more, for bench to compare'
	@echo '  VENV=$(VENV)   folder of the virtual environment'
	@echo '  PYTHON=$(PYTHON)   Python 3.10 to 3.12 to make it with; none: the first suitable one'

.PHONY: demo
demo: $(VENV)/.serve ## mask the people in IMAGES, into OUT, by a server that runs meanwhile
	@$(BIN)/python -m serving.demo segment $(IMAGES) --out "$(OUT)"

.PHONY: serve
serve: $(VENV)/.serve ## keep the server up until Ctrl-C
	@exec $(BIN)/peopleseg serve --host $(HOST) --http-port $(HTTP_PORT) \
		--grpc-port $(GRPC_PORT) --metrics-port $(METRICS_PORT) --health-port $(HEALTH_PORT)

.PHONY: evaluate
evaluate: $(VENV)/.plots ## measure the accuracy on DATA through a server, into OUT
	@$(BIN)/python -m serving.demo evaluate --images "$(DATA)/val" \
		--annotations "$(DATA)/person_val.json" --json "$(JSON)" --report "$(OUT)/report"

BENCH = $(BIN)/peopleseg bench
PEERS = $(if $(YOLO_SEG),--yolo-seg "$(YOLO_SEG)") $(if $(OTHER),--other-repository "$(OTHER)")
ANNOTATED = --images "$(DATA)/val" --annotations "$(DATA)/person_val.json"

.PHONY: bench
bench: $(VENV)/.test ## measure the speed on DATA in short (10 minutes at most), into OUT/bench
	$(BENCH) server $(ANNOTATED) --people 1 5 10 --concurrency 1 4 --seconds 1.5 --results "$(OUT)/bench"
	$(BENCH) steps $(ANNOTATED) --people 5 --seconds 1 --results "$(OUT)/bench"
	$(BENCH) rois $(ANNOTATED) --rois 0 1 5 10 64 --seconds 0.5 --results "$(OUT)/bench"
	$(BENCH) peers $(ANNOTATED) $(PEERS) --people 5 --seconds 1 --results "$(OUT)/bench"
	$(BENCH) runtimes --networks hierarchical_head --runtimes onnxruntime --rois 1 5 --rounds 3 --seconds 0.5 --results "$(OUT)/bench"
	$(BENCH) memory $(ANNOTATED) --requests 100 1000 --results "$(OUT)/bench"
	$(if $(VERSIONS),$(BENCH) versions $(VERSIONS) --rounds 3 --seconds 0.5 --results "$(OUT)/bench")
	$(BENCH) report --results "$(OUT)/bench"

.PHONY: bench-full
bench-full: $(VENV)/.test ## measure the speed on DATA in full, into benchmarks/results
	$(BENCH) server $(ANNOTATED) --seconds 2 --perf-analyzer
	$(BENCH) steps $(ANNOTATED) --people 1 5 10 --seconds 1.5
	$(BENCH) rois $(ANNOTATED) --seconds 1
	$(BENCH) peers $(ANNOTATED) $(PEERS) --people 1 5 10 --seconds 2
	$(BENCH) runtimes --seconds 1
	$(BENCH) memory $(ANNOTATED)
	$(if $(VERSIONS),$(BENCH) versions $(VERSIONS))
	$(BENCH) report

.PHONY: test
test: $(VENV)/.test ## run all tests but the slow ones, in PROCESSES processes of one thread each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" --numprocesses=$(PROCESSES) --dist=loadfile $(TESTS)

.PHONY: coverage
coverage: $(VENV)/.test ## run the tests as test does, and print which lines they leave out
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" --numprocesses=$(PROCESSES) --dist=loadfile --cov $(TESTS)

.PHONY: lint
lint: $(VENV)/.test ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: format
format: $(VENV)/.test ## put the code into the form that lint wants
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: clean
clean: ## remove the environment, the caches and the demo's results
	rm -rf "$(VENV)" "$(OUT)" build dist ./*.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up. A stamp is older than what it depends on when the pins have changed.

$(BIN)/python:
	@sh requirements/make_venv.sh "$(VENV)" $(PYTHON)

$(VENV)/.serve: requirements/steps.txt requirements/configs.txt requirements/serve.txt pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --no-deps -r requirements/serve.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.plots: requirements/plots.txt $(VENV)/.serve
	$(PIP) install --quiet --no-deps -r requirements/plots.txt
	@touch $@

$(VENV)/.test: requirements/torch.txt requirements/test.txt $(VENV)/.plots
	$(PIP) install --quiet -r requirements/torch.txt -c requirements/serve.txt -c requirements/plots.txt -c requirements/test.txt
	$(PIP) install --quiet --no-deps -r requirements/test.txt
	@touch $@
