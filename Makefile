# One Makefile, no recursion into folders.
#
#   make          build                  make run      build and show the main job
#   make test     install what is missing, then lint-free build and all tests
#   make check    the tests alone        make bench    timings, with ratios
#   make faults   50 rounds of kill -9 in the middle of a turn
#   make files    the long runs on /workspace; see tests/README.md
#   make interop  every agent that we know, from npm, with a scripted model
#   make lint     format, cppcheck, shellcheck, mandoc     make format
#   make install  PREFIX=/usr/local DESTDIR=
#
#   MODE=dev   (default) -O1 -g          MODE=rel   -O2, fortified
#   MODE=asan  AddressSanitizer + UBSan  MODE=tsan  ThreadSanitizer
#   MODE=cov   gcov                      MODE=scan  gcc -fanalyzer
#   MODE=fuzz  libFuzzer, with clang: make MODE=fuzz fuzz-json
#
# Each mode has its own tree under o/, so switching never needs a clean.
# Warnings are errors in every mode but rel, and scan, whose findings want a
# reader: gcc 12 calls a pointer that goes into a struct a leak.

MODE ?= dev
O    := o/$(MODE)
V    ?= 0

VERSION := 0.1.0
PREFIX  ?= /usr/local
PKGS    := libuv sqlite3 libnghttp2 libxxhash fuse3 nettle

# --- what is built -----------------------------------------------------------
# A folder in LIBS becomes o/MODE/<folder>.a.  A program is its own folder plus
# the libraries of USES_x, in link order: this is the layering.  Programs in
# STATIC are linked statically (but for the sanitizers, which cannot be).

LIBS := core vfs mcp host
BINS := bin/hib bin/hibd lib/hibernacle/hib-files libexec/hib-guest libexec/hib-sandbox libexec/echo-agent
EXAMPLES := quickstart tools
PRELOAD := $(O)/libexec/hib-qemu.so
NEW_STORE := $(O)/libexec/guest.db
STATIC := libexec/hib-guest libexec/hib-sandbox libexec/echo-agent

SRC_hib         := $(wildcard host/cli/*.c)
# hib with the commands that need libgit2 or libarchive.
SRC_hib-files   := $(filter-out host/cli/elsewhere.c,$(SRC_hib)) $(wildcard host/files/*.c)
SRC_hibd        := $(wildcard host/daemon/*.c)
SRC_hib-guest   := $(wildcard guest/*.c)
SRC_hib-sandbox := $(wildcard host/sandbox/*.c)
SRC_echo-agent  := tests/fake/echo_agent.c tests/fake/mcp_verbs.c
SRC_libhib      := $(wildcard host/lib/*.c) host/home.c

USES_hib         := $(O)/lib/libhib.a $(O)/host.a $(O)/vfs.a $(O)/mcp.a $(O)/core.a
USES_hib-files   := $(USES_hib)
USES_hibd        := $(O)/host.a $(O)/vfs.a $(O)/mcp.a $(O)/core.a
USES_hib-guest   := $(O)/vfs.a $(O)/mcp.a $(O)/core.a
USES_hib-sandbox := $(O)/host.a $(O)/core.a
USES_echo-agent  := $(O)/core.a
USES_tests       := $(O)/lib/libhib.a $(O)/host.a $(O)/vfs.a $(O)/mcp.a $(O)/core.a
LIBS_hib-files   := -lsodium -lgit2 -lz -larchive
LIBS_hibd        := -lsodium -lgit2 -lz -lcurl
LIBS_tests       := -lsodium -lgit2 -lz -lcurl -larchive

# Program code that a unit test or a fuzzer links in.
PROC := $(wildcard guest/proc.c guest/proc_*.c)
EXTRA_test_proc := guest/idmap.c guest/place.c $(PROC) guest/reaper.c guest/session_init.c guest/spawn.c
# Its agent is the fuzzer: proc.h is played by the test.
EXTRA_fuzz_acp := $(filter-out guest/main.c $(PROC) guest/spawn.c guest/session_init.c,$(SRC_hib-guest))
EXTRA_test_rekey := $(filter-out guest/main.c,$(SRC_hib-guest))
EXTRA_test_lineage := $(EXTRA_test_rekey) host/daemon/catalog.c host/daemon/lineage.c host/daemon/vault.c
EXTRA_test_builtin := guest/mcp_builtin.c guest/journal.c guest/redact.c
EXTRA_test_mcp_door := guest/mcp_door.c guest/mcp_shim.c
EXTRA_test_mcp_index := guest/mcp_index.c
EXTRA_test_quirks := guest/quirks.c
EXTRA_test_restore := guest/restore.c guest/replay.c
EXTRA_test_instruct := guest/instruct.c guest/launch.c guest/mcp_config.c guest/place.c guest/quirks.c guest/redact.c guest/text.c
EXTRA_test_host_tools := guest/host_tools.c
EXTRA_test_mcp_config := guest/instruct.c guest/launch.c guest/mcp_config.c guest/place.c guest/quirks.c guest/redact.c guest/text.c
EXTRA_test_mcp_gateway := guest/journal.c $(addprefix guest/mcp_,all.c ask.c audit.c gateway.c index.c relay.c subs.c upstream.c) $(EXTRA_test_mcp_config)
EXTRA_test_mcp_local := guest/errtail.c guest/mcp_local.c guest/mcp_shared.c guest/mcp_upstream.c $(EXTRA_test_mcp_config) $(filter-out guest/place.c guest/reaper.c,$(EXTRA_test_proc)) guest/mcp_talk.c
EXTRA_test_form := guest/form.c
EXTRA_test_lookup := guest/history.c
EXTRA_test_sql := guest/sqldb.c guest/sqlguard.c guest/sqlmem.c guest/sqlrun.c
EXTRA_fuzz_sql := guest/sqlguard.c guest/sqlmem.c guest/sqlrun.c
EXTRA_test_glob := guest/glob.c
EXTRA_test_textedit := guest/linediff.c guest/textedit.c
EXTRA_test_guest := tests/guest_host.c
EXTRA_test_pause := tests/guest_host.c
EXTRA_test_reexec := tests/guest_host.c
EXTRA_test_prewarm := tests/guest_host.c
EXTRA_test_clone := tests/guest_host.c
EXTRA_test_still := guest/still.c
EXTRA_test_place := guest/place.c
EXTRA_test_fs := $(filter-out guest/fsop.c guest/fsserve.c guest/fswatch.c guest/fspool.c,$(wildcard guest/fs*.c))
EXTRA_test_toolcalls := guest/toolcalls.c guest/always.c
EXTRA_test_uplink := guest/hostline.c guest/hostsock.c guest/port.c guest/uplink.c guest/sideloop.c
EXTRA_test_checkout := guest/checkout.c guest/idmap.c guest/hostsock.c guest/port.c guest/uplink.c guest/workspace_disk.c guest/workspace_state.c
EXTRA_test_link := $(wildcard host/daemon/link*.c) host/daemon/exchange.c host/daemon/dialer.c host/daemon/greeter.c host/daemon/feeder.c host/daemon/latefeed.c host/daemon/mirror.c host/daemon/hub.c
EXTRA_test_mcp_bridge := host/daemon/mcp_bridge.c
EXTRA_test_mcp_servers := host/daemon/catalog.c host/daemon/mcp_servers.c host/daemon/secrets.c host/daemon/vault.c
EXTRA_fuzz_mcp_servers := $(EXTRA_test_mcp_servers)
EXTRA_test_objects := host/daemon/objects.c host/daemon/objects_ask.c host/daemon/checkpoint.c host/daemon/depot.c host/daemon/dialer.c host/daemon/greeter.c host/daemon/mcp_bridge.c host/daemon/mcp_remotes.c $(EXTRA_test_mcp_servers)
EXTRA_test_redact := guest/redact.c
EXTRA_test_words := host/cli/words.c
EXTRA_test_vault := host/daemon/catalog.c host/daemon/vault.c
EXTRA_fuzz_mirror := host/daemon/mirror.c
EXTRA_test_hub := host/daemon/hub.c

# --- flags -------------------------------------------------------------------
WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wvla \
	-Wformat=2 -Wundef -Wcast-qual -Wimplicit-fallthrough -Wwrite-strings

MODE_dev  := -O1 -g
MODE_rel  := -O2 -g -D_FORTIFY_SOURCE=3
MODE_asan := -O1 -g -fno-omit-frame-pointer \
	-fsanitize=address,undefined -fno-sanitize-recover=all
MODE_tsan := -O1 -g -fsanitize=thread
MODE_cov  := -O0 -g --coverage
MODE_scan := -O0 -g -fanalyzer
MODE_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined
ifeq ($(origin MODE_$(MODE)),undefined)
$(error unknown MODE '$(MODE)')
endif
ifeq ($(MODE),fuzz)
CC := clang
endif

LLHTTP := /usr/share/llhttp
CFLAGS   ?= $(MODE_$(MODE))
CPPFLAGS += -D_GNU_SOURCE -DHIB_VERSION='"$(VERSION)"' -I. \
	-isystem /usr/share/include/llhttp $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
ALL_CFLAGS := -std=gnu17 $(WARN) $(if $(filter rel scan,$(MODE)),,-Werror) $(CFLAGS) \
	-fPIC -fvisibility=hidden -fstack-protector-strong \
	-fstack-clash-protection -fcf-protection
LDFLAGS  += -Wl,-z,relro,-z,now -Wl,--as-needed $(filter -fsanitize=% --coverage,$(CFLAGS))
LDLIBS   += $(shell pkg-config --libs $(PKGS) 2>/dev/null)
SANITIZED := $(findstring -fsanitize,$(CFLAGS))

# glibc warns at each static link that name lookups need its shared parts; no
# static program of ours looks names up.
STATIC_FLAGS := -static -Wl,--no-warnings
STATIC_LIBS  := -lfuse3 -luv_a -lsqlite3 -lnghttp2 -lxxhash -lnettle -lpthread -lm

ifneq ($(V),1)
Q = @printf '  %-5s %s\n' $(1) $(patsubst $(O)/%,%,$@);
endif

# --- rules -------------------------------------------------------------------
all: $(BINS:%=$(O)/%) $(PRELOAD) $(NEW_STORE) $(O)/lib/libhib.a $(O)/lib/libhib.so $(EXAMPLES:%=$(O)/%)

obj = $(patsubst %.c,$(O)/%.o,$(sort $(1)))

$(O)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call Q,CC)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# llhttp comes as C source from Debian; it is built as it is.
LLHTTP_OBJ := $(O)/llhttp/api.o $(O)/llhttp/http.o $(O)/llhttp/llhttp.o
$(O)/llhttp/%.o: $(LLHTTP)/%.c Makefile
	@mkdir -p $(@D)
	$(call Q,CC)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -fvisibility=hidden -w -c -o $@ $<

$(O)/core/schema.o: $(wildcard core/schema/*.sql)

ar = $(call Q,AR)rm -f $@ && $(AR) rcs $@ $^
$(O)/core.a: $(call obj,$(wildcard core/*.c)) $(LLHTTP_OBJ)
	$(ar)
$(O)/vfs.a: $(call obj,$(wildcard vfs/*.c))
	$(ar)
$(O)/mcp.a: $(call obj,$(wildcard mcp/*.c))
	$(ar)
$(O)/host.a: $(call obj,$(wildcard host/*.c))
	$(ar)

define bin
$(O)/$(1): $$(call obj,$$(SRC_$(notdir $(1)))) $$(USES_$(notdir $(1)))
	@mkdir -p $$(@D)
	$$(call Q,LINK)$$(CC) $$(LDFLAGS) $(if $(filter $(1),$(STATIC)),$(if $(SANITIZED),-pie,$(STATIC_FLAGS)),-pie) \
		-o $$@ $$^ $$(LIBS_$(notdir $(1))) $(if $(filter $(1),$(STATIC)),$(if $(SANITIZED),$$(LDLIBS),$(STATIC_LIBS)),$$(LDLIBS))
endef
$(foreach b,$(BINS),$(eval $(call bin,$(b))))

# libhib is one object with what it needs of core/ inside, and no names but hib_*.
$(O)/lib/hib.o: $(call obj,$(SRC_libhib)) $(O)/core.a
	@mkdir -p $(@D)
	$(call Q,LD)$(LD) -r -o $@ $^ && objcopy --localize-hidden $@
$(O)/lib/libhib.a: $(O)/lib/hib.o
	$(ar)
$(O)/lib/libhib.so: $(O)/lib/hib.o
	$(call Q,LINK)$(CC) $(LDFLAGS) -shared -Wl,-soname,libhib.so.0 -o $@ $^ $(LDLIBS)
$(EXAMPLES:%=$(O)/%): $(O)/%: $(O)/host/examples/%.o $(O)/lib/libhib.a
	$(call Q,LINK)$(CC) $(LDFLAGS) -pie -o $@ $^ $(LDLIBS)

# What a VM's store begins as, so that none has to make its tables.
$(NEW_STORE): $(O)/libexec/hib-guest
	$(call Q,MAKE)rm -f $@ && $< --new-store $@ && chmod 644 $@

# Goes into QEMU: no sanitizer, no library of ours.
$(PRELOAD): host/preload/hib-opened.c host/preload/full_disk.c host/preload/full_disk.h Makefile
	@mkdir -p $(@D)
	$(call Q,LINK)$(CC) $(CPPFLAGS) -std=gnu17 $(WARN) -O2 -fPIC -shared -Wl,-z,relro,-z,now -o $@ $(filter %.c,$^)

define test
$(O)/tests/$(1): $(O)/tests/$(1).o $(call obj,$(EXTRA_$(1))) $(USES_tests)
	$$(call Q,LINK)$$(CC) $$(LDFLAGS) -pie -o $$@ $$^ $(LIBS_tests) $$(LDLIBS)
endef
TESTS := $(patsubst tests/%.c,%,$(wildcard tests/test_*.c))
$(foreach t,$(TESTS),$(eval $(call test,$(t))))

$(O)/tests/test_mcp_local: | $(O)/tests/fake/mcp_server
$(O)/tests/test_machine: | $(BINS:%=$(O)/%) $(PRELOAD)
$(O)/tests/test_guest $(O)/tests/test_pause $(O)/tests/test_prewarm $(O)/tests/test_clone $(O)/tests/test_reexec: | $(O)/libexec/hib-guest $(O)/libexec/echo-agent $(O)/tests/fake/mcp_server

# Parts of a fake that are no program.
FAKE_PARTS := mcp_verbs mcp_tools
FAKES := $(filter-out $(FAKE_PARTS),$(patsubst tests/fake/%.c,%,$(wildcard tests/fake/*.c)))
$(O)/tests/fake/mcp_server: $(O)/tests/fake/mcp_tools.o
$(O)/tests/fake/echo_agent: $(O)/tests/fake/mcp_verbs.o
$(O)/tests/fake/%: $(O)/tests/fake/%.o $(O)/mcp.a $(O)/core.a
	$(call Q,LINK)$(CC) $(LDFLAGS) -pie -o $@ $^ $(LDLIBS) -lcurl
BENCHES := $(patsubst tests/bench/%.c,%,$(wildcard tests/bench/*.c))
$(O)/tests/bench/%: $(O)/tests/bench/%.o $(USES_tests)
	$(call Q,LINK)$(CC) $(LDFLAGS) -pie -o $@ $^ $(LIBS_tests) $(LDLIBS)

# --- jobs --------------------------------------------------------------------
deps:
	@scripts/deps

# Unit tests are programs, the others shell scripts; both speak TAP.
T ?= $(sort $(wildcard tests/*.t))
tests: all $(TESTS:%=$(O)/tests/%) $(FAKES:%=$(O)/tests/fake/%)
check: tests
	O=$(CURDIR)/$(O) MODE=$(MODE) prove --timer --exec tests/watched \
		$(TESTS:%=$(O)/tests/%) $(T)

# fuzz-x runs tests/fuzz_x.c for FUZZ_TIME seconds; needs MODE=fuzz.  SEEDS_x
# writes inputs to begin with into a folder.
FUZZ_TIME ?= 30
FUZZERS := $(patsubst tests/fuzz_%.c,%,$(wildcard tests/fuzz_*.c))
define fuzzer
$(O)/tests/fuzz_$(1): $(O)/tests/fuzz_$(1).o $(call obj,$(EXTRA_fuzz_$(1))) $(O)/host.a $(O)/vfs.a $(O)/mcp.a $(O)/core.a
	$$(call Q,LINK)$$(CC) $$(LDFLAGS) -fsanitize=fuzzer -o $$@ $$^ $(LIBS_tests) $$(LDLIBS)
endef
$(foreach f,$(FUZZERS),$(eval $(call fuzzer,$(f))))
SEEDS_mcp_server := tests/mcp_seeds.py
SEEDS_mcp_front := tests/mcp_seeds.py --front
SEEDS_mcp_http := tests/mcp_seeds.py --http
fuzz-%: $(O)/tests/fuzz_%
	mkdir -p $(O)/corpus/$*
	$(if $(SEEDS_$*),$(SEEDS_$*) $(O)/corpus/$*)
	$< -max_total_time=$(FUZZ_TIME) $(CURDIR)/$(O)/corpus/$*
fuzzers: $(FUZZERS:%=$(O)/tests/fuzz_%)
fuzz:
	for f in $(FUZZERS); do $(MAKE) --no-print-directory MODE=fuzz fuzz-$$f || exit 1; done

# The whole test run: plain with everything, then the parts that the
# sanitizers watch.
test: deps
	@scripts/test

# What VMs boot; IMAGES are recipes of images/recipes, KERNEL is debian or tiny.
IMAGES ?= base
KERNEL ?= debian
images:
	@scripts/deps $(if $(filter tiny,$(KERNEL)),bc bison flex libelf-dev xz-utils)
	@images/build --kernel $(KERNEL) --out o/images $(IMAGES)

run: deps
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@O=$(CURDIR)/$(O) scripts/demo

bench:
	@scripts/deps bindfs
	@$(MAKE) --no-print-directory -j$$(nproc) MODE=rel all $(BENCHES:%=o/rel/tests/bench/%) o/rel/tests/fake/mcp_server o/rel/tests/fake/hostile_guest
	@O=$(CURDIR)/o/rel tests/bench/run $(BENCH)

FILE_TESTS := fsops f_reference f_realwork f_hostile_files faults_files
faults: tests
	O=$(CURDIR)/$(O) MODE=$(MODE) FAULT_ROUNDS=50 prove -v --timer --exec '' tests/faults.t

files: tests
	O=$(CURDIR)/$(O) MODE=$(MODE) FILES_LONG=1 FILE_FAULT_ROUNDS=50 \
		prove -v --timer --exec '' $(FILE_TESTS:%=tests/%.t)

# Every agent of images/agents against a scripted model, and MCP servers from
# npm; the tables of what was seen are o/MODE/interop.md and interop_mcp.md.
interop: tests
	INTEROP_AGENTS="codex-rust codex claude claude-old gemini opencode pi sdk-example" \
		INTEROP_MCP_AGENTS="claude claude-old codex codex-rust gemini opencode" \
		INTEROP_MCP_SERVERS="everything filesystem memory thinking sqlite" \
		O=$(CURDIR)/$(O) MODE=$(MODE) prove -v --timer --exec '' tests/interop.t tests/interop_mcp.t

DIRS := core vfs mcp guest host host/cli host/daemon host/files host/lib host/preload host/sandbox host/examples tests tests/fake tests/bench
SRCS := $(wildcard $(DIRS:%=%/*.c))
HDRS := $(wildcard $(DIRS:%=%/*.h))
SH   := $(wildcard tests/*.t tests/*.sh tests/bench/run tests/bench/files tests/bench/mcp tests/bench/hostile tests/bench/machines tests/bench/*.sh) tests/watched scripts/deps scripts/test scripts/demo .ci/run images/build
MAN  := $(wildcard host/*.[1358] guest/*.8)
format:
	clang-format -i $(SRCS) $(HDRS)
lint: deps
	clang-format --dry-run -Werror $(SRCS) $(HDRS)
	cppcheck -q --std=c11 --include=scripts/cppcheck.h --error-exitcode=1 --inline-suppr --suppress=missingIncludeSystem \
		--enable=warning,portability,performance -I. core vfs mcp guest host
	shellcheck -x $(SH)
	@for f in $(filter-out %.sh,$(SH)); do test -x $$f || { echo "$$f: not executable"; exit 1; }; done
	mandoc -Tlint -Wwarning $(MAN)

install: all
	install -D -t $(DESTDIR)$(PREFIX)/bin $(O)/bin/hib $(O)/bin/hibd
	install -D -t $(DESTDIR)$(PREFIX)/lib/hibernacle $(O)/lib/hibernacle/hib-files
	install -D -t $(DESTDIR)$(PREFIX)/libexec/hibernacle $(STATIC:%=$(O)/%) $(PRELOAD)
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/libexec/hibernacle $(NEW_STORE)
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/hibernacle/agents images/agents/*.json
	install -D -t $(DESTDIR)$(PREFIX)/share/hibernacle/images images/build
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/hibernacle/images/recipes images/recipes/*
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/hibernacle/images/kernel images/kernel/*
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include host/hib.h
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib $(O)/lib/libhib.a
	install -D $(O)/lib/libhib.so $(DESTDIR)$(PREFIX)/lib/libhib.so.0
	ln -sf libhib.so.0 $(DESTDIR)$(PREFIX)/lib/libhib.so
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig
	sed 's|@PREFIX@|$(PREFIX)|;s|@VERSION@|$(VERSION)|' host/lib/hib.pc.in \
		>$(DESTDIR)$(PREFIX)/lib/pkgconfig/hib.pc
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 $(wildcard host/*.1)
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man5 $(wildcard host/*.5)
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 $(wildcard host/*.8 guest/*.8)
clean:
	rm -rf o

.PHONY: all images deps tests check test run bench faults files interop fuzz fuzzers format lint install clean
.DELETE_ON_ERROR:
.SECONDARY:
-include $(SRCS:%.c=$(O)/%.d)
