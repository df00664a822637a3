# Targets that run tests; each variant has a build folder of its own. Included by the Makefile.
#
# `make test` may install packages, so it starts a second make for the work; the others only look and say
# what is missing. The parts run one after the other also under -j: on two cores they would only disturb
# each other's deadlines.

PYTHON  := /usr/bin/python3
PYTEST  := $(PYTHON) -m pytest -q
# End-to-end tests mostly wait for each other's events: more processes than CPUs. A file's tests share what they set up.
E2E_JOBS ?= $(shell expr $$(nproc) + 1)
SUBMAKE := $(MAKE) --no-print-directory
# Builds use all CPUs, unless the caller's own -j already shares out jobs.
BUILD_ALL = $(SUBMAKE) $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
FUZZ_SECONDS ?= 10
# The same in every run, so that a commit has one verdict; 0 is a new one each time.
FUZZ_SEED    ?= 1
SOAK_SECONDS ?= 60

.PHONY: test test-parts test-unit soak test-corpus test-e2e test-pcaps test-examples check-paranoid asan tsan fuzz coverage mutants bench

test:
	$(Q).ci/deps build test
	+$(Q)$(SUBMAKE) test-parts

test-parts:
	+$(Q)$(BUILD_ALL) all
	+$(Q)$(SUBMAKE) test-unit
	+$(Q)$(SUBMAKE) test-corpus
	+$(Q)$(SUBMAKE) test-e2e
	+$(Q)$(SUBMAKE) test-examples

test-unit: $(UNIT_BIN)
	$(Q)tests/unit/run --under $(BUILD)/tests --skips tests/SKIPS $(UNIT_BIN)

# Random tests with fresh seeds, each for SOAK_SECONDS; what `make test` does not look for. Also with SAN.
SOAK_BIN := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(shell grep -l '"tests/unit/seeded.h"' $(UNIT_SRC)))
soak: $(SOAK_BIN)
	$(Q)tests/unit/soak --seconds $(SOAK_SECONDS) $(SOAK_BIN)

test-corpus: $(REPLAY_BIN)
	$(Q)tests/fuzz/replay-all tests/fuzz/corpus $(REPLAY_BIN)

# E2E holds more arguments for pytest, e.g. E2E='-k reload'. Only a whole run, of chains as users have them, is looked
# back upon: which stats were raised.
RUN_E2E = NUNCIO=$(abspath $(BUILD)/nuncio) NUNCIO_RAISED=$(abspath $(BUILD)/raised) $(PYTEST)
test-e2e: $(if $(NU_SRC),$(BUILD)/nuncio $(BUILD)/nuncio-mask $(BUILD)/nuncio-tap)
	$(Q)rm -f $(BUILD)/raised
	$(Q)$(RUN_E2E) -n $(E2E_JOBS) --dist loadfile tests/e2e $(E2E)
	$(if $(E2E)$(PARANOID),,$(Q)$(RUN_E2E) -m last tests/e2e/test_stats_raised.py)

# Captures with known content, in the folder PCAPS; those of the project's own tests are made by them.
test-pcaps: $(BUILD)/nuncio-tap
	$(if $(PCAPS),,$(error PCAPS=FOLDER: where are captures with truth?))
	$(Q)$(PYTHON) tests/pcaps/run.py --tap $(abspath $(BUILD)/nuncio-tap) $(PCAPS)

test-examples: $(if $(NU_SRC),$(BUILD)/nuncio)
	$(Q)tests/examples $(BUILD)/nuncio

check-paranoid: export NUNCIO_PARANOID := 1
check-paranoid:
	$(Q).ci/deps --check build test
	+$(Q)$(SUBMAKE) BUILD=build/paranoid PARANOID=1 test-e2e

# Without strict_string_checks: it wants a NUL behind what strndup is told the length of.
asan: export ASAN_OPTIONS := detect_leaks=1:detect_stack_use_after_return=1
asan: export UBSAN_OPTIONS := print_stacktrace=1:halt_on_error=1
asan: export NUNCIO_SLOW := 3
asan:
	$(Q).ci/deps --check build test
	+$(Q)$(SUBMAKE) BUILD=build/asan SAN=address,undefined OPT=-O1 test-parts

# setarch -R: the thread sanitizer's shadow does not fit every random layout of newer kernels.
tsan: export TSAN_OPTIONS := halt_on_error=1:second_deadlock_stack=1
tsan: export NUNCIO_SLOW := 5
tsan: export E2E := -m threads
# Of the unit tests those that start threads; it finds nothing in others.
TSAN = BUILD=build/tsan SAN=thread OPT=-O1 FUZZ_SRC= UNIT_SRC='$(shell grep -lE 'pthread_create|nu_workers_start' $(UNIT_SRC))'
tsan:
	$(Q).ci/deps --check build test
	+$(Q)$(BUILD_ALL) $(TSAN) all
	+$(Q)setarch -R $(SUBMAKE) $(TSAN) test-unit
	+$(Q)setarch -R $(SUBMAKE) $(TSAN) test-e2e

fuzz: export ASAN_OPTIONS := detect_leaks=1
fuzz: export UBSAN_OPTIONS := print_stacktrace=1:halt_on_error=1
fuzz:
	$(Q).ci/deps --check build lint
	+$(Q)$(BUILD_ALL) BUILD=build/fuzz CC=clang SAN=fuzzer-no-link,address,undefined OPT=-O1 fuzzers
	$(Q)tests/fuzz/run --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED) --keep build/fuzz/findings $(patsubst $(BUILD)/%,build/fuzz/%,$(FUZZ_BIN))

.PHONY: fuzzers
fuzzers: $(FUZZ_BIN)

coverage:
	$(Q)rm -rf build/coverage/obj
	+$(Q)$(BUILD_ALL) BUILD=build/coverage OPT=-O0 CFLAGS=--coverage corpora
	+$(Q)$(SUBMAKE) BUILD=build/coverage OPT=-O0 CFLAGS=--coverage test-corpus
	$(Q)$(PYTHON) tests/fuzz/coverage.py --objects build/coverage/obj tests/fuzz/coverage.txt

.PHONY: corpora
corpora: $(REPLAY_BIN)

mutants:
	$(Q)tests/mutants/run

# BENCH holds more arguments, e.g. BENCH='--scenarios tcp --rounds 9'.
BENCH_BIN := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(filter-out $(HTTP_PARSER),$(wildcard tests/bench/*.c)))
$(BENCH_BIN): $(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(BENCH_LIBS)
$(BUILD)/bench/http_parser: BENCH_LIBS := -lhttp_parser $(LDLIBS)
$(BUILD)/bench/http_parser: $(LIB)
$(BUILD)/bench/tls: BENCH_LIBS := $(LDLIBS)

bench: $(BUILD)/nuncio $(BUILD)/nuncio-tap $(BENCH_BIN)
	$(Q).ci/deps --check build test lint
	$(Q)$(PYTHON) tests/bench/run.py --nuncio $(abspath $(BUILD)/nuncio) --tools $(BUILD)/bench $(BENCH)
	$(Q)$(PYTHON) tests/bench/load_config.py --nuncio $(abspath $(BUILD)/nuncio) --limit 0.5
	$(Q)$(PYTHON) tests/bench/round_trip.py --nuncio $(abspath $(BUILD)/nuncio) --tools $(BUILD)/bench
	$(Q)$(PYTHON) tests/bench/filters.py --nuncio $(abspath $(BUILD)/nuncio) --limit 1100
	$(Q)$(PYTHON) tests/bench/http_parser.py --program $(BUILD)/bench/http_parser --limit 0.5
	$(Q)$(PYTHON) tests/bench/tap.py --tap $(abspath $(BUILD)/nuncio-tap) --limit 12 --sealed-limit 8
