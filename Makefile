# The menu. Meson does the work (meson.build); each variant has its own folder under build/.
# Each target first runs scripts/bootstrap, which installs what is missing on Debian and says so;
# BOOTSTRAP=: leaves the machine alone.
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
DESTDIR ?=
VERSION = $(shell awk -F"'" '/^project/ { print $$6 }' meson.build)
BOOTSTRAP ?= scripts/bootstrap
FUZZ_SECONDS ?= 60

.PHONY: all demo test test-ollama asan bench fuzz lint fmt sweep install uninstall clean help

all: ## the program, build/hotspare, and the library
	@$(BOOTSTRAP) build
	@scripts/build release

demo: all ## a provider dies, nobody notices: 20 conversations, under 30 seconds
	@build/hotspare demo

test: ## everything the continuous integration runs; ends with "N passed, N failed, N skipped"
	@$(BOOTSTRAP) test
	@python3 tests/run

test-ollama: ## the real Ollama behind the gateway; builds it first, which takes minutes the first time
	@$(BOOTSTRAP) test
	@scripts/build release
	@python3 tests/clients/install.py llama ollama
	@HOTSPARE_BIN="$(CURDIR)/build/hotspare" tests/clients/test_ollama.py

asan: ## unit and simulator tests under address and undefined-behaviour checks
	@$(BOOTSTRAP) fuzz lint
	@python3 tests/run --only build-asan,unit-asan

bench: ## CPU per request and per streamed event, against nginx
	@$(BOOTSTRAP) bench
	@scripts/build release
	@python3 bench/run

fuzz: ## every fuzz driver for FUZZ_SECONDS seconds each
	@$(BOOTSTRAP) fuzz
	@scripts/build fuzz
	@python3 tests/run --only fuzz --fuzz-seed 0 --fuzz-seconds $(FUZZ_SECONDS)

lint: ## layers, format, clang-tidy
	@$(BOOTSTRAP) lint
	@python3 tests/run --only layers,format,tidy

fmt: ## clang-format on every C file
	@$(BOOTSTRAP) fmt
	@find src tests bench -name '*.[ch]' -print0 | xargs -0 clang-format-14 -i

sweep: ## slow checks for a person to read: thread sanitizer, valgrind, gcc -fanalyzer
	@$(BOOTSTRAP) test
	@scripts/sweep

install: all ## DESTDIR, PREFIX (default /usr/local) and LIBDIR are honoured
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/share/man/man1" "$(DESTDIR)$(PREFIX)/share/man/man3"
	install -m 755 build/hotspare "$(DESTDIR)$(PREFIX)/bin/hotspare"
	install -m 644 man/hotspare.1 "$(DESTDIR)$(PREFIX)/share/man/man1/hotspare.1"
	install -d "$(DESTDIR)$(PREFIX)/share/hotspare/catalogue"
	install -m 644 share/NOTICE "$(DESTDIR)$(PREFIX)/share/hotspare/NOTICE"
	install -m 644 share/catalogue/*.tsv "$(DESTDIR)$(PREFIX)/share/hotspare/catalogue"
	install -d "$(DESTDIR)$(PREFIX)/include" "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(PREFIX)/share/hotspare/examples"
	install -m 644 src/lib/hotspare.h "$(DESTDIR)$(PREFIX)/include/hotspare.h"
	install -m 644 build/release/src/lib/libhotspare.a "$(DESTDIR)$(LIBDIR)/libhotspare.a"
	install -m 644 build/release/src/lib/libhotspare.so.$(VERSION) "$(DESTDIR)$(LIBDIR)/libhotspare.so.$(VERSION)"
	ln -sf libhotspare.so.$(VERSION) "$(DESTDIR)$(LIBDIR)/libhotspare.so.0"
	ln -sf libhotspare.so.0 "$(DESTDIR)$(LIBDIR)/libhotspare.so"
	sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|' src/lib/hotspare.pc.in >"$(DESTDIR)$(LIBDIR)/pkgconfig/hotspare.pc"
	chmod 644 "$(DESTDIR)$(LIBDIR)/pkgconfig/hotspare.pc"
	install -m 644 man/libhotspare.3 "$(DESTDIR)$(PREFIX)/share/man/man3/libhotspare.3"
	install -m 644 examples/chat.c "$(DESTDIR)$(PREFIX)/share/hotspare/examples/chat.c"

uninstall: ## takes away what install put there
	rm -f "$(DESTDIR)$(PREFIX)/bin/hotspare" "$(DESTDIR)$(PREFIX)/share/man/man1/hotspare.1"
	rm -rf "$(DESTDIR)$(PREFIX)/share/hotspare"
	rm -f "$(DESTDIR)$(PREFIX)/include/hotspare.h" "$(DESTDIR)$(PREFIX)/share/man/man3/libhotspare.3"
	rm -f "$(DESTDIR)$(LIBDIR)"/libhotspare.* "$(DESTDIR)$(LIBDIR)/pkgconfig/hotspare.pc"

clean: ## takes build/ away
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile
