# How long each fuzz target runs.
FUZZTIME ?= 5s

GOLANGCI = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# Where demo-picture writes.
PICTURE ?= docs/demo.svg

# The modules within this one.
NESTED = $(patsubst %/go.mod,%,$(wildcard */go.mod bench/*/go.mod panel/*/go.mod))

# Lists skipped tests with their reasons; go test alone does not.
GOTESTSUM = go run gotest.tools/gotestsum@v1.13.0 --format pkgname --

# Packages whose tests take longest. They come first, so that none runs alone at the end.
LONGEST = ./storage ./engine

# The suites that bench-report measures: memory, peers, contention, shared, trips,
# scripts, latency, watch, push, growth, outage and footprint. Empty: all of them.
SUITES ?=

.PHONY: help demo demo-picture examples test race integration server-images bench bench-report lint fuzz ci

help: ### Print this help
	@grep -E '^[a-z-]+:.*### ' $(MAKEFILE_LIST) | sed 's/:.*### /\t/' | expand -t 16

demo: ### Watch replicas share a breaker while their dependency fails
	go run ./cmd/redbreaker demo

demo-picture: ### Draw the demo into PICTURE
	go run ./cmd/redbreaker demo > $(PICTURE).txt
	go run ./internal/demopicture < $(PICTURE).txt > $(PICTURE)
	rm $(PICTURE).txt

examples: ### Build the examples, run them, and test the SQLite storage from two processes
	cd examples && go test ./...

test: ### Run the tests; those on a real server need redis-server on PATH
	$(GOTESTSUM) $(LONGEST) ./...

race: ### Run the tests under the race detector
	go test -race $(LONGEST) ./...

integration: ### Run the tests on real servers and clusters; lists those that this machine cannot run
	integration/run.sh

server-images: ### Build Docker images of the servers for make integration, without a registry
	integration/images.sh

bench: ### Measure the cost of calls and scripts, in five minutes
	go test -run '^$$' -bench . -short -benchtime 100ms -v ./...

bench-report: ### Measure SUITES, or all in about half an hour, and write bench/README.md
	bench/report.sh $(SUITES)

lint: ### Run go vet and golangci-lint
	go vet ./...
	$(GOLANGCI) run
	@set -e; for module in $(NESTED); do (cd $$module && echo $$module && go vet ./... && $(GOLANGCI) run); done

fuzz: ### Run each fuzz target for FUZZTIME
	@set -e; for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

ci: ### Run everything that CI runs
	.ci/run
