# The project's commands. Each is a script in scripts/, and says there what it does.

LISTEN ?= 127.0.0.1:8080
DIR ?= demo

.DEFAULT_GOAL := help
.PHONY: help setup servers playground demo test bench bench-peer fmt clean

help: ## this list
	@echo 'make COMMAND, where COMMAND is one of'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/    \1	\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: ## build everything and serve the demo; LISTEN=127.0.0.1:8080 DIR=demo
	@DIR='$(DIR)' LISTEN='$(LISTEN)' scripts/demo

test: ## format, lints, tests in Rust, tests in the browser
	@scripts/test

bench: setup playground ## the benchmarks
	@scripts/bench

bench-peer: setup playground ## the gateway beside the Neo4j GraphQL Library and statements by hand, on Neo4j and Postgres
	@scripts/bench peer
	@scripts/bench rows

servers: ## start the servers of the tests by hand and print their addresses; scripts/servers/NAME stop stops one
	@for server in scripts/servers/*; do $$server start; done

setup: ## fetch the ONNX Runtime library into the cache (QUIPU_CACHE, default ~/.cache/quipu)
	@scripts/setup

playground: ## build the analysts' page into playground/dist
	@scripts/playground

fmt: ## format the code
	@cargo fmt --all

clean: ## remove what was built; keeps the cache and the demo's data
	cargo clean
	rm -rf playground/dist playground/node_modules
