# The only entrance. Plain, quiet unless V=1; every target works from a fresh clone.
#
#   make            everything into build/
#   make test       unit, corpus and end-to-end tests (installs what they need)
#   make run        the demo of docs/examples/demo.yaml
#
# BUILD names the output folder, SAN a comma list for -fsanitize, so that variants live side by side.

BUILD ?= build
CC    ?= gcc
SAN   ?=
V     ?=
Q     := $(if $(V),,@)
say    = $(if $(V),,@printf '  %-6s %s\n' $(1) $(2);)

LIBS   := libevent yaml-0.1 libcares
CPPFLAGS += -I. -D_GNU_SOURCE $(shell pkg-config --cflags $(LIBS))
OPT    ?= -O2
CFLAGS ?= $(OPT) -g
CFLAGS += -std=gnu11 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
          -Wpointer-arith -Wno-unused-parameter -fno-strict-aliasing -fno-common -fstack-protector-strong \
          -fvisibility=hidden -pthread -MMD -MP
LDLIBS += $(shell pkg-config --libs $(LIBS)) -pthread
LDFLAGS += -Wl,-z,relro,-z,now
ifneq ($(SAN),)
CFLAGS  += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined
LDFLAGS += -fsanitize=$(SAN)
endif

LAYERS   := core protocols tls l4 l7
LIB_SRC  := $(sort $(shell find $(LAYERS) -name '*.c' 2>/dev/null))
NU_SRC   := $(sort $(wildcard tools/nuncio/*.c))
FILT_SRC := $(sort $(wildcard tests/filters/*.c))
UNIT_SRC := $(sort $(shell find tests/unit -name 'test_*.c' 2>/dev/null))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))

obj       = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB      := $(BUILD)/libnuncio.a
UNIT_BIN := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(UNIT_SRC))
REPLAY_BIN := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/corpus/%,$(FUZZ_SRC))

.DELETE_ON_ERROR:
.PHONY: all
all: $(if $(NU_SRC),$(BUILD)/nuncio) $(UNIT_BIN) $(REPLAY_BIN)

$(BUILD)/obj/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(LIB): $(call obj,$(LIB_SRC))
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/nuncio: $(call obj,$(NU_SRC)) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(UNIT_BIN): $(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(call obj,$(FILT_SRC)) $(LIB)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

$(REPLAY_BIN): $(BUILD)/tests/corpus/%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz/replay.o $(LIB)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: clean
clean:
	$(Q)rm -rf build

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
