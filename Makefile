.PHONY: help setup build demo test unit integration lint format bench fuzz coverage simulate soak bugs chaos clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install the packages that are missing (asks sudo when not root)
	@tools/setup build demo test

build: ## Build bin/muster and bin/ec2sim
	@tools/setup build
	@tools/build release muster ec2sim

demo: ## Install, build, and run a real pipeline on a real local machine; no account needed
	@tools/setup build demo
	@tools/build release muster ec2sim
	@tools/demo

test: ## All tests: lint, unit tests of two compilers, integration on real machines
	@tools/setup build demo test
	@tests/run

unit: ## Unit tests with sanitizers
	@tools/setup build test
	@tools/build dev
	@cd build/dev && ctest --output-on-failure

integration: ## Tests on real machines behind the simulator (root)
	@tools/setup build demo test
	@tools/build dev
	@tests/integration/run

lint: ## Layout, clang-tidy, who includes whom, banned calls
	@tools/setup build test
	@tools/lint

format: ## Lay the code out
	@git ls-files -co --exclude-standard '*.cpp' '*.hpp' | xargs clang-format-19 -i

bench: ## Measure: signatures a second, launch to first output line
	@tools/setup build demo test
	@tools/build release
	@bench/run

fuzz: ## Fuzz every parser for a while (SECONDS_EACH, default 30)
	@tools/setup build test
	@tools/build dev
	@fuzz/run

coverage: ## Which share of each parser's lines the fuzz corpora reach
	@tools/setup build test
	@tools/build coverage fuzz_targets
	@fuzz/coverage

simulate: ## Days of fleets under faults, on the virtual clock (DAYS, default 200; SEED, default 1)
	@tools/setup build
	@tools/build release fleet_simulation
	@build/release/fleet_simulation --days $(or $(DAYS),200) --seed $(or $(SEED),1) --processes 2

soak: ## Eight hours of load on the virtual clock, then half an hour of it in real time (SECONDS)
	@tools/setup build demo test
	@tools/build release
	@build/release/fleet_simulation --soak 8
	@tests/integration/prepare
	@build/venv/bin/python bench/soak $(or $(SECONDS),1800)

bugs: ## Bugs on purpose: each must be found by the simulator within a minute (about ten minutes)
	@tools/setup build
	@tests/bugs/run

chaos: ## A hundred kill -9 of the daemon in one run of 2000 jobs, twice (root; about ten minutes)
	@tools/setup build demo test
	@tools/build dev
	@MUSTER_CHAOS=1 tests/integration/run -s test_chaos.py

clean: ## Remove what was built
	rm -rf build bin
