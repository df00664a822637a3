# What users install: `make install`, `make uninstall`, `make deb`. Included by the Makefile.
#
#   PREFIX      /usr/local; programs, man pages, completion and docs go below it
#   DESTDIR     put before every path, for packagers; nothing needs root then
#   SYSCONFDIR  where the unit looks for nuncio/nuncio.yaml: /etc with PREFIX=/usr, else PREFIX/etc
#   UNITDIR     where the systemd unit goes
#
# A config that is there is never replaced. A new user is not made: as root, `systemd-sysusers` reads
# the file that is installed for it.

PREFIX     ?= /usr/local
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
UNITDIR    ?= $(PREFIX)/lib/systemd/system
PACKAGING  := tools/packaging

# Made by the program itself, so they say what it does.
.PHONY: pages
pages: $(BUILD)/pages/done
all: pages
$(BUILD)/pages/done: $(BUILD)/nuncio $(BUILD)/nuncio-tap docs/cli.md docs/tap.md
	$(call say,PAGES,$(@D))
	$(Q)rm -rf $(@D) && mkdir -p $(@D)/man
	$(Q)for page in $$($(BUILD)/nuncio docs man-list); do \
	  $(BUILD)/nuncio docs $$page <docs/cli.md >$(@D)/man/$$page || exit 1; done
	$(Q)$(BUILD)/nuncio docs completion.bash >$(@D)/nuncio.bash
	$(Q)$(BUILD)/nuncio-tap --docs man <docs/tap.md >$(@D)/man/nuncio-tap.1
	$(Q)$(BUILD)/nuncio-tap --docs completion >$(@D)/nuncio-tap.bash
	$(Q)touch $@

at_places = sed -e 's|@BINDIR@|$(PREFIX)/bin|g' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g'
put  = install -D -m 644 $(1) $(DESTDIR)$(2)
SHARE = $(PREFIX)/share

.PHONY: install uninstall
install: $(BUILD)/nuncio $(BUILD)/nuncio-tap $(BUILD)/pages/done
	$(Q)for program in nuncio nuncio-tap; do \
	  install -D -m 755 $(BUILD)/$$program $(DESTDIR)$(PREFIX)/bin/$$program || exit 1; done
	$(Q)for page in $(BUILD)/pages/man/*; do \
	  $(call put,$$page,$(SHARE)/man/man$${page##*.}/$${page##*/}) || exit 1; done
	$(Q)for program in nuncio nuncio-tap; do \
	  $(call put,$(BUILD)/pages/$$program.bash,$(SHARE)/bash-completion/completions/$$program) || exit 1; done
	$(Q)$(at_places) $(PACKAGING)/nuncio.service.in | $(call put,/dev/stdin,$(UNITDIR)/nuncio.service)
	$(Q)$(call put,$(PACKAGING)/sysusers.conf,$(PREFIX)/lib/sysusers.d/nuncio.conf)
	$(Q)[ -e $(DESTDIR)$(SYSCONFDIR)/nuncio/nuncio.yaml ] || \
	  $(call put,$(PACKAGING)/nuncio.yaml,$(SYSCONFDIR)/nuncio/nuncio.yaml)
	$(Q)for file in README.md CHANGELOG.md docs/*.md; do \
	  $(call put,$$file,$(SHARE)/doc/nuncio/$${file##*/}) || exit 1; done
	$(Q)for file in docs/examples/*.yaml $(PACKAGING)/nuncio.yaml $(PACKAGING)/nuncio.socket; do \
	  $(call put,$$file,$(SHARE)/doc/nuncio/examples/$${file##*/}) || exit 1; done
	@echo "installed below $(DESTDIR)$(PREFIX); the unit reads $(SYSCONFDIR)/nuncio/nuncio.yaml"

# All that install puts, but the config.
uninstall:
	$(Q)rm -f $(DESTDIR)$(PREFIX)/bin/nuncio $(DESTDIR)$(PREFIX)/bin/nuncio-tap \
	  $(DESTDIR)$(SHARE)/bash-completion/completions/nuncio $(DESTDIR)$(SHARE)/bash-completion/completions/nuncio-tap \
	  $(DESTDIR)$(UNITDIR)/nuncio.service $(DESTDIR)$(PREFIX)/lib/sysusers.d/nuncio.conf \
	  $(DESTDIR)$(SHARE)/man/man[15]/nuncio.1 $(DESTDIR)$(SHARE)/man/man[15]/nuncio[-.]*.[15]
	$(Q)rm -rf $(DESTDIR)$(SHARE)/doc/nuncio

# --- the Debian package: debian/ is put together in build/deb and the sources stay where they are
#
# DEB_BUILD is the folder of its objects: they are compiled with Debian's own flags.

DEB_BUILD   ?= $(BUILD)/deb/build
DEB_DIR     := $(BUILD)/deb/nuncio
NU_VERSION   = $(shell sed -n 's/^\#define NU_VERSION "\(.*\)"/\1/p' tools/nuncio/command.h)
DEB_VERSION ?= $(subst -dev,~dev,$(NU_VERSION))-1
# Builds of one state of the tree are the same, byte by byte.
DEB_EPOCH   := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),$(shell stat -c %Y CHANGELOG.md))

.PHONY: deb
deb:
	$(Q).ci/deps --check build deb # hence -d below: it would ask for build-essential, a C++ compiler with it
	$(Q)rm -rf $(DEB_DIR) $(BUILD)/deb/nuncio*_* && mkdir -p $(DEB_DIR) && cp -r $(PACKAGING)/debian $(DEB_DIR)/debian
	$(Q)$(PACKAGING)/debian-files $(DEB_VERSION) $(DEB_EPOCH) $(DEB_DIR)/debian
	$(Q)cd $(DEB_DIR) && SOURCE_DATE_EPOCH=$(DEB_EPOCH) NUNCIO_SOURCE=$(CURDIR) NUNCIO_BUILD=$(abspath $(DEB_BUILD)) \
	  MAKEFLAGS= MFLAGS= DEB_BUILD_OPTIONS="parallel=$(shell nproc) $(DEB_BUILD_OPTIONS)" \
	  dpkg-buildpackage -b -d -uc -us $(if $(V),,>../log 2>&1 || { tail -40 ../log; exit 1; })
	@ls $(BUILD)/deb/*_$(DEB_VERSION)_*.deb
