# Run `make help` for the list of commands.

GO       ?= go
FUZZTIME ?= 30s
# Where the binaries that tests and tools need are built.
BUILD    := $(CURDIR)/.build

# The race detector needs cgo and a C compiler; without one the go command switches cgo off.
CC_FOUND := $(shell test "$$($(GO) env CGO_ENABLED)" = 1 && command -v $$($(GO) env CC | cut -d' ' -f1) 2>/dev/null)
RACE     := $(if $(CC_FOUND),-race)

.PHONY: help
help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: fmt-check vet race alloc build vet-live ## What CI runs first: format, vet, tests with the race detector, build without cgo.

.PHONY: fmt-check
fmt-check:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then \
		printf 'gofmt would change:\n%s\nrun: gofmt -w .\n' "$$unformatted"; exit 1; fi

.PHONY: vet
vet:
	$(GO) vet ./...

.PHONY: race
race:
ifeq ($(RACE),)
	@echo 'note: cgo is off or there is no C compiler, so the tests run without the race detector'
endif
	$(GO) test $(RACE) ./...

# What the race detector would change: allocations, and the memory of an outage at full rate.
.PHONY: alloc
alloc:
ifneq ($(RACE),)
	$(GO) test -run 'CostsNoAllocation|OutageWithWholeTraces' ./otelvllm ./otelvllm/otlp
endif

.PHONY: build
build:
	CGO_ENABLED=0 $(GO) build ./...

# Tests against a running engine compile with the rest, though only `make test-live` runs them.
.PHONY: vet-live
vet-live:
	$(GO) vet -tags live ./test/...

.PHONY: test-backends
test-backends: otelcol jaeger prometheus victoria-metrics victoria-logs ## Run the shipped configurations in a real Collector, Jaeger, Prometheus and VictoriaMetrics.
	cd test/backends && $(GO) vet ./... && OTELVLLM_OTELCOL='$(BUILD)/otelcol' OTELVLLM_JAEGER='$(BUILD)/jaeger' \
		OTELVLLM_PROMETHEUS='$(BUILD)/prometheus' OTELVLLM_VICTORIAMETRICS='$(BUILD)/victoria-metrics' \
		OTELVLLM_VICTORIALOGS='$(BUILD)/victoria-logs' $(GO) test $(RACE) -count=1 -timeout 10m ./...

.PHONY: test-dashboards
test-dashboards: promtool ## Check rules, alerts and dashboards against what is really exported.
	cd test/dashboards && $(GO) vet ./... && OTELVLLM_PROMTOOL='$(BUILD)/promtool' $(GO) test -count=1 -timeout 10m ./...

.PHONY: test-deploy
test-deploy: otelcol jaeger prometheus ## Check docker-compose.yml, Dockerfile and the Kubernetes manifests, without Docker.
	cd test/deploy && $(GO) vet ./... && OTELVLLM_BACKENDS='$(BUILD)' $(GO) test -count=1 -timeout 10m ./...

# The programs that tests run: in which folder is the go.mod that names the version, and which package it is.
program_otelcol          := test/backends/otelcol .
program_jaeger           := test/backends/jaeger github.com/jaegertracing/jaeger/cmd/jaeger
program_prometheus       := test/backends/prometheus github.com/prometheus/prometheus/cmd/prometheus
program_promtool         := test/dashboards/promtool github.com/prometheus/prometheus/cmd/promtool
program_victoria-metrics := test/backends/victoria github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics
program_victoria-logs    := test/backends/victoria github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs

# The tag leaves out the discovery of cloud providers, which is most of what there is to compile.
.PHONY: otelcol jaeger prometheus promtool victoria-metrics victoria-logs
otelcol jaeger prometheus promtool victoria-metrics victoria-logs:
	@mkdir -p '$(BUILD)'
	@test -x '$(BUILD)/$@' || echo 'building $@ (some minutes the first time)'
	cd $(word 1,$(program_$@)) && $(GO) build -tags remove_all_sd -trimpath -ldflags='-s -w' -o '$(BUILD)/$@' $(word 2,$(program_$@))

.PHONY: test-browser
test-browser: ## Open the live page in a real headless Chromium, where there is one.
	cd test/browser && $(GO) vet ./... && $(GO) test -count=1 ./...

.PHONY: test-faults
test-faults: jaeger ## Break a real vLLM and look at the causes named: make test-faults OTELVLLM_VLLM_KIT=folder with start, stop and fault
	@test -n "$(OTELVLLM_VLLM_KIT)" || { echo 'set OTELVLLM_VLLM_KIT to a folder with the commands start, stop and fault for a vLLM'; exit 2; }
	OTELVLLM_VLLM_KIT='$(OTELVLLM_VLLM_KIT)' OTELVLLM_JAEGER='$(BUILD)/jaeger' $(GO) test -tags live -count=1 -timeout 40m -v -run LiveFaults ./test

.PHONY: test-live
test-live: ## Run the tests against a running vLLM: make test-live OTELVLLM_LIVE_ENGINE=http://127.0.0.1:8000
	@test -n "$(OTELVLLM_LIVE_ENGINE)" || { \
		echo 'set OTELVLLM_LIVE_ENGINE to the base URL of a running vLLM, such as http://127.0.0.1:8000'; exit 2; }
	OTELVLLM_LIVE_ENGINE='$(OTELVLLM_LIVE_ENGINE)' $(GO) test -tags live -count=1 -v -run Live ./test

.PHONY: golden
golden: ## Rewrite test/testdata/telemetry.golden from what the library emits.
	$(GO) test ./test -run Telemetry -update

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (30s).
	@for file in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' $$file); do \
			echo "== $$(dirname $$file) $$target"; \
			(cd $$(dirname $$file) && $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) .) || exit 1; \
		done; \
	done

.PHONY: bench
bench: ## Run the benchmarks.
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: overlay
overlay: ## Run Go's own net/http and httputil tests with our wrapper in front of every handler.
	$(GO) run ./test/overlay

.PHONY: lint
lint: ## Run golangci-lint (built from test/tools/golangci at its pinned version).
	@mkdir -p '$(BUILD)'
	cd test/tools/golangci && $(GO) build -o '$(BUILD)/golangci-lint' github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	'$(BUILD)/golangci-lint' run ./...
	for module in backends browser dashboards deploy; do (cd test/$$module && '$(BUILD)/golangci-lint' run ./...) || exit 1; done

.PHONY: quickstart
quickstart: ## Show the whole thing at work: a simulated engine, the gateway, traces and a stall.
	$(GO) run ./examples/quickstart
