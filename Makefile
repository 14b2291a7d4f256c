# The two commands of the README are `make demo` and `make test`; the rest is for whoever works on
# edgespan. Every target runs from a clean clone.

CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

# The development build: optimised dependencies, and shared with `make test`.
DEMO := $(TARGET_DIR)/debug/edgespan

.PHONY: help demo smoke test lint deny interop bench peers store image

help: ## what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1#/p' Makefile | column -t -s '#'

demo: $(DEMO) ## services that know nothing of tracing, edgespan before them, their traces
	@$(CARGO) build --quiet --locked --bin edgespan
	@exec $(DEMO) demo $(ARGS)

smoke: $(DEMO) ## the demo, and its key flow asked through
	@$(CARGO) build --quiet --locked --bin edgespan
	@probes/smoke.sh $(DEMO)

# Runs only when nothing was built yet; cargo itself sees to everything after that.
$(DEMO):
	@echo "Building edgespan. This first build takes a few minutes and is needed once." >&2
	@$(CARGO) build --locked --bin edgespan

test: ## all tests of the crate: unit, property, end to end, conformance, tidy
	$(CARGO) test --locked

lint: ## what a change has to pass besides its tests
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

deny: ## licences, duplicates and sources of the dependencies (needs cargo-deny)
	$(CARGO) deny check -D warnings bans licenses sources

interop: ## the suite with real programs: curl, h2load, gRPC, the Collector, Envoy
	tests/interop/run $(ARGS)

bench: ## micro benches
	$(CARGO) bench --locked $(ARGS)

peers: ## CPU per request beside HAProxy, nginx and Envoy, in one run
	benches/peers/run $(ARGS)

store: ## CPU per request and memory with recent traces kept and without
	benches/store/run $(ARGS)

image: ## the root file system of the container image, laid out in a folder
	deploy/build.sh $(TARGET_DIR)/image
