# `make lint` and `make fmt`. Each check is a target of its own; lint runs all of them and fails if one did.
# Included by the Makefile.

LINTS := lint-tools lint-layers lint-sizes lint-words lint-format lint-compilers lint-docs lint-scripts lint-cppcheck lint-tidy lint-man lint-deb

C_DIRS   := $(wildcard $(LAYERS) tools tests docs/examples)
C_SRC    := $(sort $(shell find $(C_DIRS) -name '*.c' 2>/dev/null))
C_FILES  := $(sort $(shell find $(C_DIRS) -name '*.[ch]' 2>/dev/null))
LINT_CPUS := $(shell nproc)

.PHONY: lint fmt $(LINTS)
lint:
	$(Q).ci/deps --check build test lint
	+$(Q)bad=; for l in $(LINTS); do $(SUBMAKE) $$l && echo "$$l: clean" || bad="$$bad $$l"; done; \
	  [ -z "$$bad" ] && echo "lint: clean" || { echo "lint: failed:$$bad"; exit 1; }

fmt:
	$(Q)clang-format -i $(C_FILES)

lint-format:
	$(Q)clang-format --dry-run -Werror $(C_FILES)

lint-layers:
	$(Q)$(PYTHON) tests/lint/layers.py $(LAYERS) tools tests

lint-sizes:
	$(Q)$(PYTHON) tests/lint/sizes.py $(LAYERS) tools

lint-words:
	$(Q)$(PYTHON) tests/lint/words.py

# The checkers' own tests: a planted fault must be found.
lint-tools:
	$(Q)$(PYTEST) tests/lint

lint-scripts:
	$(Q)shellcheck -e SC2317 $$(grep -lIrE --exclude-dir=.git --exclude-dir=build '^#!/bin/(ba)?sh' .)
	$(Q)$(PYTHON) -m pyflakes $$(find tests docs -name '*.py') $$(grep -lIrE --exclude-dir=build '^#!/usr/bin/python3' tests)

lint-compilers:
	+$(Q)$(BUILD_ALL) CC=gcc all
	+$(Q)$(BUILD_ALL) BUILD=build/clang CC=clang all

# The generated pages say what this binary says.
lint-docs: $(if $(NU_SRC),$(BUILD)/nuncio)
	$(Q)tests/lint/pages $(BUILD)/nuncio

# Man pages as two programs read them.
lint-man: $(BUILD)/pages/done
	$(Q)tests/lint/man $(BUILD)/pages/man

# The package, compiled with Debian's own flags, as Debian would take it.
lint-deb:
	+$(Q)$(SUBMAKE) deb >/dev/null
	$(Q)lintian --allow-root --fail-on error,warning --tag-display-limit 0 $(BUILD)/deb/*.changes

# One checked file, one stamp; the object's own dependencies say when it is stale.
TIDY := $(patsubst %.c,$(BUILD)/tidy/%.ok,$(C_SRC))
$(TIDY): $(BUILD)/tidy/%.ok: %.c $(BUILD)/obj/%.o .clang-tidy tests/.clang-tidy
	$(call say,TIDY,$<)
	@mkdir -p $(@D)
	$(Q)clang-tidy --quiet $< -- $(NU_CPPFLAGS) -std=gnu11 2>$@.log || { cat $@.log; exit 1; }
	@touch $@
.PHONY: tidy-all
tidy-all: $(TIDY)

lint-tidy:
	+$(Q)$(BUILD_ALL) -k tidy-all

lint-cppcheck:
	@mkdir -p $(BUILD)/cppcheck
	$(Q)cppcheck --quiet -j$(LINT_CPUS) --cppcheck-build-dir=$(BUILD)/cppcheck --std=c11 --enable=warning,performance,portability \
	  --inline-suppr --suppressions-list=tests/lint/cppcheck.txt --error-exitcode=1 -D_GNU_SOURCE -D__GNUC__ -I. $(C_SRC)
