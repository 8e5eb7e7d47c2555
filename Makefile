# Everything runs with the Node of node_modules; the machine's own only installs it.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test bench soak check types images setup

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1@\2/p' $(MAKEFILE_LIST) | awk -F@ '{ printf "%-14s %s\n", $$1, $$2 }'

demo: ## run the whole gate on real photographs; CORPUS=dir takes your own pictures
	@infra/setup.sh
	@node infra/demo/run.ts $(if $(CORPUS),"$(CORPUS)")

test: ## check, then run the whole suite
	@infra/setup.sh test
	@$(MAKE) --no-print-directory check
	@NODE_COMPILE_CACHE=$(CURDIR)/node_modules/.cache/test node --test --test-concurrency=3 --test-timeout=2400000 --test-reporter=spec \
	  --test-global-setup=./test/integration/shared-stack.ts test/faults/clusters.test.ts \
	  $$(find test -name '*.test.ts' -not -path 'test/bench/*' -not -path 'test/faults/cluster*' | sort)

bench: ## our speed against others', what an item costs, how long nothing is judged when a gate ends; TIMES=5 repetitions, about an hour; figures in .sluice/bench/latest.json
	@infra/setup.sh test
	@node test/bench/kernels.ts --times $(or $(TIMES),5)
	@node test/bench/gate.ts --times $(or $(TIMES),5) --known 1000000 --python
	@node test/bench/gate.ts --times $(or $(TIMES),5) --known 10000000
	@node test/bench/scaling.ts --times $(or $(TIMES),5)
	@node test/bench/lists.ts --times $(or $(TIMES),5) --known 1000000
	@node test/bench/lists.ts --times $(or $(TIMES),5) --known 10000000
	@node test/bench/gap-table.ts --times $(or $(TIMES),5)
	@node test/bench/imports.ts --times $(or $(TIMES),5)
	@node test/bench/recall.ts --times $(or $(TIMES),5)
	@node test/bench/train.ts --times $(or $(TIMES),5)
	@node test/bench/replay.ts --times $(or $(TIMES),5)

soak: ## three gates and three brokers under random faults for MINUTES=45, then everything is counted; JSON=file keeps the figures; before it 20,000 broken messages, an import of a million entries, an export of 20,000 items that is killed 10 times, and a replay of 50,000
	@infra/setup.sh test
	@MESSAGES=20000 HOSTILE_RUNS=300 node --test --test-reporter=spec \
	  --test-global-setup=./test/integration/shared-stack.ts test/faults/messages.test.ts test/gate/inspect-hostile.test.ts
	@ENTRIES=1000000 STOPS=10 node --test --test-reporter=spec --test-global-setup=./test/integration/shared-stack.ts test/faults/import-interrupted.test.ts
	@ITEMS=20000 KILLS=10 node --test --test-reporter=spec --test-global-setup=./test/integration/shared-stack.ts \
	  test/train/export-killed.test.ts test/faults/exported-once.test.ts
	@REPLAYED=50000 RATE=1000 node --test --test-reporter=spec --test-global-setup=./test/integration/shared-stack.ts test/faults/replayed-once.test.ts
	@node test/faults/soak.ts --minutes $(or $(MINUTES),45) $(if $(SEED),--seed $(SEED)) $(if $(JSON),--json "$(JSON)")

check: ## types, formatter, linter, dead code, schemas
	@infra/setup.sh
	@tsc -p .
	@biome check --error-on-warnings
	@knip
	@node infra/generate-types.ts --check
	@node services/cli.ts schemas check

types: ## write the TypeScript types, the policy schema and the page for on-call anew
	@infra/setup.sh
	@node infra/generate-types.ts

images: ## make sure that Docker has images of the servers; builds them where none can be fetched
	@infra/setup.sh
	@infra/containers/engine.sh infra/containers/images.sh

setup: ## install what is missing, and nothing else
	@infra/setup.sh test
