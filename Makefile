# The only entrance. Plain, quiet unless V=1; every target works from a fresh clone.
#
#   make              everything into build/, offline
#   make run          the demo of docs/examples/demo.yaml (installs missing build packages first)
#   make test         unit, corpus and end-to-end tests and the examples (installs their peers too)
#
#   make lint fmt     checks and formatting             make asan tsan fuzz check-paranoid coverage mutants
#   make soak         random tests with fresh seeds
#   make docs         generated pages                   make bench
#   make deps         all packages of .ci/packages      make install PREFIX=/usr/local DESTDIR=
#   make deb          a Debian package in build/deb     make uninstall
#
# FILTERS names files with filters of your own (docs/write-a-filter.md).
# BUILD names the output folder, SAN a comma list for -fsanitize, so that variants live side by side.
# CPPFLAGS, CFLAGS and LDFLAGS are the caller's: they come after the project's own.

BUILD ?= build
CC    := $(if $(filter default,$(origin CC)),gcc,$(CC))
SAN   ?=
V     ?=
FILTERS ?=
Q     := $(if $(V),,@)
say    = $(if $(V),,@printf '  %-6s %s\n' $(1) $(2);)

LIBS   := libevent yaml-0.1 libcares libssl libcrypto libseccomp libpcre2-8 zlib libbrotlienc libbrotlidec libcrypt libnghttp2
OPT    ?= -O2
NU_CPPFLAGS := -I. -D_GNU_SOURCE $(shell pkg-config --cflags $(LIBS) 2>/dev/null)
NU_CFLAGS   := $(OPT) -g -std=gnu11 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
               -Wpointer-arith -Wno-unused-parameter -fno-strict-aliasing -fno-common -fstack-protector-strong \
               -fvisibility=hidden -pthread
NU_LDFLAGS  := -Wl,-z,relro,-z,now
LDLIBS      += $(shell pkg-config --libs $(LIBS) 2>/dev/null) -pthread -lm
ifneq ($(SAN),)
# Instrumented code confuses the compiler's flow warnings; the plain builds judge those.
NU_CFLAGS   += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined -w
NU_LDFLAGS  += -fsanitize=$(SAN)
endif
# PARANOID=1: test filters between all filters of every chain (make check-paranoid).
ifneq ($(PARANOID),)
NU_CPPFLAGS += -DNU_PARANOID
endif
COMPILE = $(CC) $(NU_CPPFLAGS) $(CPPFLAGS) $(NU_CFLAGS) $(CFLAGS)
LINK    = $(CC) $(NU_CFLAGS) $(CFLAGS) $(NU_LDFLAGS) $(LDFLAGS)

LAYERS   := core protocols tls l4 l7
LIB_SRC  := $(sort $(shell find $(LAYERS) -name '*.c' 2>/dev/null))
NU_SRC   := $(sort $(wildcard tools/nuncio/*.c))
TAP_SRC  := $(sort $(wildcard tools/tap/*.c))
FILT_SRC := $(sort $(wildcard tests/filters/*.c))
UNIT_SRC := $(sort $(shell find tests/unit -name 'test_*.c' 2>/dev/null))
# Programs that compare with libhttp-parser exist where its package is; `make test` installs it first.
HTTP_PARSER := $(if $(wildcard /usr/include/http_parser.h),,%/test_h1_others.c %/bench/http_parser.c)
UNIT_SRC := $(filter-out $(HTTP_PARSER),$(UNIT_SRC))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))

obj       = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB      := $(BUILD)/libnuncio.a
TOOL_LIB := $(BUILD)/libnuncio-tool.a
TAP_LIB  := $(BUILD)/libnuncio-tap.a
UNIT_BIN := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(UNIT_SRC))
REPLAY_BIN := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/corpus/%,$(FUZZ_SRC))
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzzers/%,$(FUZZ_SRC))

.DELETE_ON_ERROR:
.PHONY: default all run deps docs fmt clean FORCE
# On all CPUs, unless -j says how many.
default:
	+$(Q)$(BUILD_ALL) all

all: $(if $(NU_SRC),$(BUILD)/nuncio $(BUILD)/nuncio-mask $(BUILD)/nuncio-tap) $(UNIT_BIN) $(REPLAY_BIN)

# Once per build folder and package list: a missing package is named before the compiler stumbles over it.
$(BUILD)/packages-present: .ci/packages
	@mkdir -p $(@D)
	$(Q).ci/deps --check build && touch $@

$(BUILD)/obj/%.o: %.c | $(BUILD)/packages-present
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

# The file that it makes a part of the program.
$(BUILD)/obj/tools/nuncio/page.o: tools/nuncio/page/index.html

$(LIB): $(call obj,$(LIB_SRC))
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(TOOL_LIB): $(call obj,$(filter-out %/main.c,$(NU_SRC)))
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(TAP_LIB): $(call obj,$(filter-out %/main.c,$(TAP_SRC)))
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

# The only one that captures.
$(BUILD)/nuncio-tap: $(call obj,tools/tap/main.c) $(TAP_LIB) $(TOOL_LIB) $(LIB)
	$(call say,LD,$@)
	$(Q)$(LINK) -o $@ $^ $(LDLIBS) -lpcap

# Other FILTERS than last time make another program.
PROGRAM := $(call obj,$(NU_SRC)) $(if $(PARANOID),$(call obj,$(FILT_SRC))) $(LIB)
$(BUILD)/filters-of-own: FORCE
	@mkdir -p $(@D) && echo '$(FILTERS)' | cmp -s - $@ || echo '$(FILTERS)' >$@
$(BUILD)/nuncio: $(call obj,$(abspath $(FILTERS))) $(PROGRAM) $(BUILD)/filters-of-own
	$(call say,LD,$@)
	$(Q)$(LINK) -o $@ $(filter-out %/filters-of-own,$^) $(LDLIBS)

# With the filter that docs/write-a-filter.md writes, for its tests.
MASK := $(call obj,docs/examples/filter/mask.c)
$(BUILD)/nuncio-mask: $(MASK) $(PROGRAM)
	$(call say,LD,$@)
	$(Q)$(LINK) -o $@ $^ $(LDLIBS)
$(BUILD)/tests/examples/test_mask: $(MASK)

$(UNIT_BIN): $(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(call obj,$(FILT_SRC)) $(TAP_LIB) $(TOOL_LIB) $(LIB)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(LDLIBS) -lcmocka

$(REPLAY_BIN): $(BUILD)/tests/corpus/%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz/replay.o $(call obj,$(FILT_SRC)) $(TAP_LIB) $(TOOL_LIB) $(LIB)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(LDLIBS)

$(BUILD)/tests/protocols/http/test_h1_others: LDLIBS += -lhttp_parser

# Only in the folder of `make fuzz`: clang, everything built with -fsanitize=fuzzer-no-link.
$(FUZZ_BIN): $(BUILD)/fuzzers/%: $(BUILD)/obj/tests/fuzz/%.o $(call obj,$(FILT_SRC)) $(TAP_LIB) $(TOOL_LIB) $(LIB)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

run:
	$(Q).ci/deps build
	+$(Q)$(BUILD_ALL) $(BUILD)/nuncio $(BUILD)/nuncio-tap
	$(Q)docs/examples/demo.sh $(BUILD)/nuncio

deps:
	$(Q).ci/deps

docs: $(BUILD)/nuncio
	$(Q)for page in reference stats; do $(BUILD)/nuncio docs $$page >docs/$$page.new && mv docs/$$page.new docs/$$page.md || exit 1; done

clean:
	$(Q)rm -rf build

include tests/tests.mk tests/lint/lint.mk tools/packaging/packaging.mk
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
