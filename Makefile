# SPDX-License-Identifier: Apache-2.0
# `make help` lists the targets. Everything generated is below $(BUILD).

VERSION := 0.2.0
BUILD ?= build
# One name for one folder: what depends on what is noted by name.
override BUILD := $(patsubst $(CURDIR)/%,%,$(BUILD))
# Objects of the program; `make check` uses one such directory a compiler.
OBJ ?= $(BUILD)/obj
SAN := $(BUILD)/san
FUZZ := $(BUILD)/fuzz
SKEL := $(BUILD)/skel
BIN := $(BUILD)/laneway
TESTS := $(BUILD)/tests

# V=1 prints whole commands.
Q = $(if $(V),,@printf '  %-5s %s\n' $1 $@; )

PREFIX ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSCONFDIR ?= /etc

export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

CC = gcc
CLANG ?= $(firstword $(foreach v,19 18 17 16 15 14,$(wildcard /usr/bin/clang-$v)) clang)
LLVM_STRIP ?= $(firstword $(wildcard $(patsubst %/clang,%/llvm-strip,$(subst clang-,llvm-strip-,$(CLANG)))) llvm-strip)
# libFuzzer comes in a package of its own, which the newest clang may lack.
FUZZ_CC ?= $(firstword $(foreach v,19 18 17 16 15 14,$(if $(wildcard \
	/usr/lib/llvm-$v/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a),$(wildcard /usr/bin/clang-$v))) clang)
BPFTOOL ?= bpftool
CLANG_FORMAT ?= clang-format

ARCH := $(shell uname -m)
BPF_ARCH := $(or $(patsubst x86_64,x86,$(filter x86_64,$(ARCH))),$(patsubst aarch64,arm64,$(filter aarch64,$(ARCH))),$(ARCH))
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)

PKGS := libbpf libelf zlib yaml-0.1 json-c yajl libcurl libmicrohttpd
WARN := -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wformat-security
# libev's ev_init() and friends cast between watcher types: -fno-strict-aliasing.
CFLAGS ?= -O2 -g
LW_CFLAGS := -std=gnu11 $(WARN) -fno-strict-aliasing -fno-common -pthread -Iinclude -Iuser \
	-D_GNU_SOURCE -DLW_VERSION='"$(VERSION)"' $(ABI:%=-DLW_ABI_VERSION=%) $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LDLIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lev -lm -pthread
SAN_CFLAGS := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZ_CFLAGS := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
BPF_CFLAGS := $(ABI:%=-DLW_ABI_VERSION=%) -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_$(BPF_ARCH) -std=gnu11 -Wall -Wextra \
	-Werror -Wno-unused-parameter -Iinclude -Ibpf $(if $(MULTIARCH),-idirafter /usr/include/$(MULTIARCH)) $(HELD_UP:%=-include %)

BPF_SRC := $(wildcard bpf/*.bpf.c)
SKELS := $(BPF_SRC:bpf/%.bpf.c=$(SKEL)/%.skel.h)
TEST_SKELS := $(patsubst tests/bpf/%.bpf.c,$(SKEL)/%.skel.h,$(wildcard tests/bpf/*.bpf.c))
USER_SRC := $(wildcard $(foreach d,base core conf kube kern daemon,user/$d/*.c))
USER_OBJ := $(USER_SRC:%.c=$(OBJ)/%.o)
# What tests link with: everything but main(); the kernel side for tests/bpf only.
LIB_SRC := $(filter-out user/daemon/main.c user/kern/%,$(USER_SRC)) $(wildcard tests/harness/*.c)
KERN_SRC := $(filter user/kern/%,$(USER_SRC))
UNIT_SRC := $(wildcard tests/unit/test_*.c)
BPFTEST_SRC := $(wildcard tests/bpf/test_*.c)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
# A program each; the service of all pods has several files.
TOOL_SRC := $(wildcard $(foreach d,bench soak faults netns runtimes,tests/$d/*.c))
HOP_SRC := $(wildcard tests/hop/*.c)

UNIT_BIN := $(UNIT_SRC:tests/%.c=$(TESTS)/%)
BPFTEST_BIN := $(BPFTEST_SRC:tests/%.c=$(TESTS)/%)
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/%.c=$(FUZZ)/%)
# The same without libFuzzer: what is kept of their inputs, each once.
REPLAY_BIN := $(FUZZ_SRC:tests/%.c=$(TESTS)/%)
TOOL_BIN := $(foreach s,$(TOOL_SRC),$(TESTS)/$(basename $(notdir $s))) $(TESTS)/hop
# Of the fault tests, the one that every change may break.
NETNS := $(wildcard tests/netns/test_*.sh) tests/faults/hostile.sh
KUBE := $(wildcard tests/kube/test_*.sh)
NODE := $(wildcard tests/node/test_*.sh)
# Where what test-kube and test-node need of Kubernetes is built, once.
LW_KUBE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/laneway/kube
# T=name: only the tests whose name contains it.
pick = $(if $(T),$(foreach t,$1,$(if $(findstring $(T),$(notdir $t)),$t)),$1)

all: user ## build/laneway
bpf: $(SKELS) ## kernel programs and their skeletons
user: $(BIN) ## build/laneway
tools: $(TOOL_BIN) ## programs of the demo, the benchmark and the end-to-end tests
objects: $(USER_OBJ) $(patsubst %.c,$(OBJ)/%.o,$(UNIT_SRC) $(BPFTEST_SRC) $(TOOL_SRC) $(HOP_SRC) $(FUZZ_SRC) tests/fuzz/replay.c tests/kube/nodes.c)

# ---- kernel side ----
define compile_bpf
	@mkdir -p $(@D)
	$(call Q,BPF)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c $< -o $@
	@! command -v $(LLVM_STRIP) >/dev/null || $(LLVM_STRIP) -g $@
endef
$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	$(compile_bpf)
$(BUILD)/bpf/%.bpf.o: tests/bpf/%.bpf.c
	$(compile_bpf)

$(SKEL)/%.skel.h: $(BUILD)/bpf/%.bpf.o
	@mkdir -p $(@D)
	$(call Q,SKEL)$(BPFTOOL) gen skeleton $< name $*_bpf >$@.tmp
	@mv $@.tmp $@

# ---- user side: plain, sanitized, fuzzed ----
$(OBJ)/user/kern/%.o $(OBJ)/tests/bpf/%.o: LW_CFLAGS += -I$(SKEL)
$(patsubst %.c,$(OBJ)/%.o,$(KERN_SRC) $(BPFTEST_SRC)): | $(SKELS)
$(patsubst %.c,$(OBJ)/%.o,$(BPFTEST_SRC)): | $(TEST_SKELS)

$(OBJ)/%.o: %.c
	@mkdir -p $(@D)
	$(call Q,CC)$(CC) $(LW_CFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(SAN)/%.o: %.c
	@mkdir -p $(@D)
	$(call Q,CC)$(CC) $(LW_CFLAGS) $(SAN_CFLAGS) -MMD -MP -c $< -o $@

$(FUZZ)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call Q,CC)$(FUZZ_CC) $(LW_CFLAGS) $(FUZZ_CFLAGS) -MMD -MP -c $< -o $@

$(BIN): $(USER_OBJ)
	$(call Q,LINK)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -o $@

# Archives, so that a test links only what it reaches. Made anew: no member of a deleted source stays.
define archive
@mkdir -p $(@D)
@rm -f $@
@$(AR) rcs $@ $^
endef
$(BUILD)/libtest.a: $(patsubst %.c,$(OBJ)/%.o,$(LIB_SRC) $(KERN_SRC))
	$(archive)
$(BUILD)/libsan.a: $(LIB_SRC:%.c=$(SAN)/%.o)
	$(archive)
$(BUILD)/libfuzz.a: $(LIB_SRC:%.c=$(FUZZ)/obj/%.o)
	$(archive)

$(UNIT_BIN): $(TESTS)/%: $(SAN)/tests/%.o $(BUILD)/libsan.a
	@mkdir -p $(@D)
	$(call Q,LINK)$(CC) $(SAN_CFLAGS) $^ $(LDLIBS) -lcmocka -lhttp_parser -lpcre2-8 $(TEST_LIBS) -o $@

$(REPLAY_BIN): $(TESTS)/%: $(SAN)/tests/%.o $(SAN)/tests/fuzz/replay.o $(BUILD)/libsan.a
	@mkdir -p $(@D)
	$(call Q,LINK)$(CC) $(SAN_CFLAGS) $^ $(LDLIBS) -lhttp_parser -lpcre2-8 -o $@

# It counts what is compiled.
$(TESTS)/unit/test_state_build: TEST_LIBS := -Wl,--wrap=lw_regex_compile
$(TESTS)/bpf/test_async: TEST_LIBS := -luring
$(BPFTEST_BIN): $(TESTS)/%: $(OBJ)/tests/%.o $(BUILD)/libtest.a
	@mkdir -p $(@D)
	$(call Q,LINK)$(CC) $(CFLAGS) $^ $(LDLIBS) -lcmocka $(TEST_LIBS) -o $@

define tool
$(TESTS)/$(basename $(notdir $1)): $(OBJ)/$(1:.c=.o)
	@mkdir -p $$(@D)
	$$(call Q,LINK)$$(CC) $$(CFLAGS) $$^ -lev -lm -pthread -o $$@
endef
$(foreach s,$(TOOL_SRC),$(eval $(call tool,$s)))
$(TESTS)/soak $(TESTS)/crowd: $(OBJ)/tests/hop/pattern.o
$(TESTS)/hop: $(HOP_SRC:%.c=$(OBJ)/%.o)
	@mkdir -p $(@D)
	$(call Q,LINK)$(CC) $(CFLAGS) $^ -pthread -o $@

# Many nodes' watches in one process, by the agent's own code; the second with ASan and UBSan.
NODES := $(TESTS)/nodes $(TESTS)/nodes_san
$(TESTS)/nodes: $(OBJ)/tests/kube/nodes.o $(BUILD)/libtest.a
	@mkdir -p $(@D)
	$(call Q,LINK)$(CC) $(CFLAGS) $^ $(LDLIBS) -o $@
$(TESTS)/nodes_san: $(SAN)/tests/kube/nodes.o $(BUILD)/libsan.a
	@mkdir -p $(@D)
	$(call Q,LINK)$(CC) $(SAN_CFLAGS) $^ $(LDLIBS) -o $@

$(FUZZ_BIN): $(FUZZ)/%: $(FUZZ)/obj/tests/fuzz/%.o $(BUILD)/libfuzz.a
	$(call Q,LINK)$(FUZZ_CC) -fsanitize=fuzzer,address,undefined $^ $(LDLIBS) -lhttp_parser -lpcre2-8 -o $@

# ---- tests. The packages first: without them this makefile cannot even find the libraries ----
test: ## every test, after installing what is missing; T=name picks
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -j$(shell nproc) test-all
# A kernel that cannot run Laneway is no reason to run none of them.
test-all: $(BIN) $(call pick,$(UNIT_BIN) $(REPLAY_BIN) $(BPFTEST_BIN)) $(TOOL_BIN)
	@tests=tests/run.sh; \
	if [ "$$(id -u)" = 0 ] && tests/vm/cannot.sh >/dev/null; then \
		$(MAKE) -s --no-print-directory deps DEPS='$(DEPS) $(VM_DEPS)' && tests=tests/vm/instead.sh; \
	fi; \
	LANEWAY=$(BIN) BUILD=$(BUILD) $$tests $(call pick,$(UNIT_BIN) $(REPLAY_BIN) $(BPFTEST_BIN) $(NETNS))
test-unit: $(call pick,$(UNIT_BIN) $(REPLAY_BIN)) ## no root, no network; built with ASan and UBSan
	@BUILD=$(BUILD) tests/run.sh $(call pick,$(UNIT_BIN) $(REPLAY_BIN))
test-bpf: $(call pick,$(BPFTEST_BIN)) ## kernel programs on crafted input; root
	@BUILD=$(BUILD) tests/run.sh $(call pick,$(BPFTEST_BIN))
test-netns: $(BIN) $(TOOL_BIN) ## end to end in network namespaces; root
	@LANEWAY=$(BIN) BUILD=$(BUILD) tests/run.sh $(call pick,$(NETNS))

# Other kernels, under qemu. KERNEL: names of tests/vm/kernels, packages, folders or images; SUITE: selftest demo bpf netns soak modules memory hardened.
VM_CI_TESTS := test_load test_gone test_overtake test_noticed
vm = BUILD=$(BUILD) KERNELS="$(KERNEL)" SUITES="$(or $(SUITE),$(if $T,bpf netns))" VM_BPF="$1" VM_NETNS="$2" tests/vm/vm.sh
vm_ready = @$(MAKE) --no-print-directory deps DEPS='$(DEPS) $(VM_DEPS)' && \
	$(MAKE) -s --no-print-directory -j$(shell nproc) $(BIN) $(TOOL_BIN) $(BPFTEST_BIN)
test-vm: ## the tests on other kernels, under qemu; KERNEL=, SUITE= and T= pick; root
	$(vm_ready)
	@$(call vm,$(call pick,$(BPFTEST_BIN)),$(call pick,$(NETNS)))
test-vm-ci: KERNEL ?= 6.1-oldest
test-vm-ci: SUITE ?= selftest demo bpf netns modules memory hardened
test-vm-ci: ## what of it a change must pass: a few tests on the oldest kernel
	$(vm_ready)
	@$(call vm,$(filter $(addprefix %/,$(VM_CI_TESTS)),$(BPFTEST_BIN)),$(filter $(VM_CI_TESTS:%=tests/netns/%.sh),$(NETNS)))
test-kube: ## against a real kube-apiserver, which the first run builds; root
	@$(MAKE) --no-print-directory deps DEPS='$(DEPS) $(KUBE_DEPS) $(DEPLOY_DEPS)'
	@$(MAKE) --no-print-directory -j$(shell nproc) $(BIN) $(TOOL_BIN) $(NODES) $(RENDER)
	@tests/kube/build.sh $(LW_KUBE)
	@LANEWAY=$(BIN) BUILD=$(BUILD) LW_KUBE=$(LW_KUBE) LW_VERSION=$(VERSION) tests/run.sh $(call pick,$(KUBE))
test-node: ## kubectl apply -k deploy/ on a node with kubelet, kube-proxy and containerd, in a namespace of its own; root
	@$(MAKE) --no-print-directory deps DEPS='$(DEPS) $(KUBE_DEPS) $(IMAGE_DEPS) $(NODE_DEPS)'
	@$(MAKE) --no-print-directory -j$(shell nproc) $(BIN) $(TOOL_BIN)
	@tests/kube/build.sh $(LW_KUBE) kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy
	@LANEWAY=$(BIN) BUILD=$(BUILD) LW_KUBE=$(LW_KUBE) LW_TEST_TIMEOUT=$(or $(LW_TEST_TIMEOUT),600) tests/run.sh $(call pick,$(NODE))
# The manifests, the image, the chart and the unit, without an API server; tests/kube has what needs one.
# What renders the chart: Debian 12 has no helm.
RENDER := $(TESTS)/render
$(RENDER): tests/deploy/render/main.go
	@mkdir -p $(@D)
	$(call Q,GO)GO111MODULE=off GOFLAGS= GOPATH=/usr/share/gocode GOCACHE=$(abspath $(BUILD))/gocache go build -o $@ $<
DEPLOY := $(wildcard tests/deploy/test_*.sh)
test-deploy: ## image, manifests, chart and unit: the agent under exactly the rights that they give it; root
	@$(MAKE) --no-print-directory deps DEPS='$(DEPS) $(DEPLOY_DEPS)'
	@$(MAKE) --no-print-directory -j$(shell nproc) $(BIN) $(TOOL_BIN) $(RENDER)
	@LANEWAY=$(BIN) BUILD=$(BUILD) LW_VERSION=$(VERSION) tests/run.sh $(call pick,$(DEPLOY))
bench-kube: ## what nodes cost a real kube-apiserver, and how fast a step is in force; root
	@$(MAKE) --no-print-directory deps DEPS='$(DEPS) $(KUBE_DEPS)'
	@$(MAKE) --no-print-directory -j$(shell nproc) $(BIN) $(TOOL_BIN) $(NODES)
	@tests/kube/build.sh $(LW_KUBE)
	@LANEWAY=$(BIN) BUILD=$(BUILD) LW_KUBE=$(LW_KUBE) tests/kube/load.sh

test-runtimes: ## lanes behind programs of many runtimes that forward nothing, or a trace header; T=name picks; root
	@$(MAKE) --no-print-directory deps DEPS='$(DEPS) $(RUNTIME_DEPS)'
	@$(MAKE) --no-print-directory -j$(shell nproc) $(BIN) $(TOOL_BIN)
	@LANEWAY=$(BIN) BUILD=$(BUILD) tests/runtimes/runtimes.sh $T

demo: ## the story of a release, in a terminal; root
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -j$(shell nproc) $(BIN) tools
	@LANEWAY=$(BIN) BUILD=$(BUILD) tests/demo/demo.sh
bench: $(BIN) $(TOOL_BIN) ## ratios to a direct connection, HAProxy and nginx beside it; root
	@LANEWAY=$(BIN) BUILD=$(BUILD) tests/bench/inbound.sh >$(BUILD)/bench-inbound.txt
	@LANEWAY=$(BIN) BUILD=$(BUILD) BENCH_INBOUND=$(BUILD)/bench-inbound.json tests/bench/bench.sh
bench-inbound: $(BIN) $(TOOL_BIN) ## what reading arriving requests costs their servers; root
	@LANEWAY=$(BIN) BUILD=$(BUILD) tests/bench/inbound.sh
bench-state: $(BIN) $(TOOL_BIN) ## how long a rollout's step takes among 1,000 workloads; root
	@LANEWAY=$(BIN) BUILD=$(BUILD) tests/bench/state.sh
soak: $(BIN) $(TOOL_BIN) ## a million requests, each answer checked; root
	@LANEWAY=$(BIN) BUILD=$(BUILD) tests/soak/soak.sh

# The same program as another build, with other maps: what an upgrade brings.
next: $(BUILD)/next/laneway
$(BUILD)/next/laneway: $(USER_SRC) $(wildcard bpf/*.[ch] bpf/lib/*.h include/laneway/*.h user/*/*.h)
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/next OBJ=$(BUILD)/next/obj VERSION=$(VERSION)-next ABI=1000 user
	@touch $@

# The same program, whose kernel programs are held up at random. Without pipelines: what is answered just then is not seen to be under way yet (docs/limits.md).
$(BUILD)/held-up/laneway: tests/harness/held_up.bpf.h $(USER_SRC) $(wildcard bpf/*.[ch] bpf/lib/*.h include/laneway/*.h user/*/*.h)
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/held-up OBJ=$(BUILD)/held-up/obj HELD_UP=$< user
	@touch $@
HELD_UP_TESTS := random_http random_work turns mixed tasks handed interim ends odd_servers slow_reader broken_off restart older_work
test-held-up: $(BUILD)/held-up/laneway $(TOOL_BIN) ## what may come between two programs: those of the data path take long, at random; T=name picks; root
	@LANEWAY=$< BUILD=$(BUILD) LW_SLOW=$(or $(LW_SLOW),3) LW_TEST_TIMEOUT=$(or $(LW_TEST_TIMEOUT),900) \
		SOAK_REQUESTS=$(or $(SOAK_REQUESTS),20000) HTTP_COUNT=$(or $(HTTP_COUNT),500) HTTP_PIPES=0 TURNS_N=$(or $(TURNS_N),3000) \
		tests/run.sh $(call pick,$(HELD_UP_TESTS:%=tests/netns/test_%.sh) tests/soak/soak.sh)

FAULTS := $(filter-out %/lib.sh %/soak.sh %/table.sh,$(wildcard tests/faults/*.sh))
FAULT_TIMEOUT ?= 3600
test-faults: $(BIN) $(TOOL_BIN) $(BUILD)/next/laneway ## faults under load, each with its figures; FAULT_SCALE lengthens, T=name picks; root
	@LANEWAY=$(BIN) BUILD=$(BUILD) LW_TEST_TIMEOUT=$(FAULT_TIMEOUT) tests/run.sh $(call pick,$(FAULTS)); s=$$?; \
		BUILD=$(BUILD) tests/faults/table.sh $(basename $(notdir $(call pick,$(FAULTS)))); exit $$s
test-upgrade: ## one agent after another under load, of this build and of the next; root
	@$(MAKE) --no-print-directory test-faults T=upgrade
soak-faults: $(BIN) $(TOOL_BIN) ## MINUTES (10) of load with faults at random, of SEED; root
	@LANEWAY=$(BIN) BUILD=$(BUILD) SEED=$(SEED) MINUTES=$(MINUTES) tests/faults/soak.sh

FUZZ_SECONDS ?= 30
fuzz: $(call pick,$(FUZZ_BIN)) ## libFuzzer on every outside input, FUZZ_SECONDS each
	@set -e; for f in $(call pick,$(FUZZ_BIN)); do n=$${f##*/}; \
		mkdir -p $(FUZZ)/corpus/$$n; echo "== $$n"; \
		$$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -timeout=10 -max_len=6000 \
			$$(ls tests/fuzz/$$n.dict 2>/dev/null | sed s/^/-dict=/) -artifact_prefix=$(FUZZ)/$$n- $(FUZZ)/corpus/$$n \
			$(wildcard tests/fuzz/corpus/common) $$(ls -d tests/fuzz/corpus/$$n 2>/dev/null); \
	done

# Of all C code, what clang-format leaves alone: a row a line with its meaning behind it, which it would break for that.
TABLES := $(wildcard include/laneway/abi*.h) include/laneway/reasons.h
FORMATTED := $(filter-out $(TABLES),$(wildcard $(foreach d,bpf bpf/lib include/laneway user/* tests/*,$d/*.[ch])))
format: ## all C code as `check` wants it
	@$(CLANG_FORMAT) -i $(FORMATTED)
check: ## layers, format, warnings of gcc and clang, the kernel programs' stack
	tests/check/includes.sh
	@echo "$(CLANG_FORMAT) --dry-run -Werror ($(words $(FORMATTED)) files)"
	@$(CLANG_FORMAT) --dry-run -Werror $(FORMATTED)
	$(MAKE) --no-print-directory -j$(shell nproc) CC=gcc OBJ=$(BUILD)/check-gcc objects
	$(MAKE) --no-print-directory -j$(shell nproc) CC=$(CLANG) OBJ=$(BUILD)/check-clang objects
	tests/check/stack.py $(BPF_SRC:bpf/%.c=$(BUILD)/bpf/%.o)

# ---- packages: name=what shows that it is there (a command, or a file) ----
DEPS := gcc=gcc make=make pkg-config=pkg-config clang=clang llvm=llvm-strip bpftool=bpftool \
	libc6-dev=/usr/include/stdio.h linux-libc-dev=/usr/include/linux/bpf.h \
	libbpf-dev=/usr/include/bpf/libbpf.h libelf-dev=/usr/include/libelf.h \
	zlib1g-dev=/usr/include/zlib.h libyaml-dev=/usr/include/yaml.h \
	libjson-c-dev=/usr/include/json-c/json.h \
	libyajl-dev=/usr/include/yajl/yajl_parse.h \
	libcurl4-openssl-dev=/usr/include/$(MULTIARCH)/curl/curl.h libmicrohttpd-dev=/usr/include/microhttpd.h libev-dev=/usr/include/ev.h \
	libcmocka-dev=/usr/include/cmocka.h libhttp-parser-dev=/usr/include/http_parser.h \
	libpcre2-dev=/usr/include/pcre2.h liburing-dev=/usr/include/liburing.h iproute2=ip curl=curl wrk=wrk nginx-light=nginx \
	haproxy=haproxy python3=python3 nodejs=node default-jdk-headless=javac golang-go=go \
	nftables=nft jq=jq clang-format=clang-format procps=pgrep strace=strace util-linux=nsenter bsdextrautils=column libclang-rt-14-dev=/usr/lib/llvm-14/lib/clang/*/lib/linux/libclang_rt.fuzzer-$(ARCH).a
# of test-vm alone
VM_DEPS := qemu-system-x86=qemu-system-x86_64 kmod=modprobe cpio=cpio busybox-static=/bin/busybox xz-utils=xz zstd=zstd
# of test-kube and bench-kube alone
KUBE_DEPS := etcd-server=etcd kubernetes-client=kubectl openssl=openssl dpkg-dev=dpkg-source tinyproxy-bin=tinyproxy \
	libfaketime=/usr/lib/$(MULTIARCH)/faketime/libfaketime.so.1
# of test-node alone
NODE_DEPS := containerd=containerd runc=runc containernetworking-plugins=/usr/lib/cni/bridge iptables=iptables
# of test-runtimes alone
RUNTIME_DEPS := gunicorn=gunicorn python3-aiohttp=/usr/lib/python3/dist-packages/aiohttp \
	python3-urllib3=/usr/lib/python3/dist-packages/urllib3 libtomcat10-embed-java=/usr/share/java/tomcat10-embed-core.jar \
	php-cli=php php-fpm=/usr/sbin/php-fpm* php-curl=/usr/lib/php/*/curl.so ruby=ruby puma=puma
# of image alone
IMAGE_DEPS := python3=python3 binutils=strip libc-bin=ldd dpkg=dpkg-query
# of test-deploy alone: an OCI runtime, the seccomp profile of container runtimes, what a chart is rendered with
DEPLOY_DEPS := $(IMAGE_DEPS) crun=crun golang-github-containers-common=/usr/share/containers/seccomp.json \
	golang-github-masterminds-sprig-dev=/usr/share/gocode/src/github.com/Masterminds/sprig \
	golang-gopkg-yaml.v3-dev=/usr/share/gocode/src/gopkg.in/yaml.v3 \
	python3-yaml=/usr/lib/python3/dist-packages/yaml kubernetes-client=kubectl systemd=systemd-analyze
deps: ## install the Debian packages that are missing; root
	@missing=; for d in $(DEPS); do p=$${d%%=*} w=$${d#*=}; \
		case $$w in /*) ls $$w >/dev/null 2>&1;; *) command -v $$w >/dev/null;; esac || missing="$$missing $$p"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	echo "installing:$$missing"; \
	exec 9>/run/lock/laneway-deps && flock 9 && \
	apt-get -q -o DPkg::Lock::Timeout=300 update && \
	DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
		install --no-install-recommends $$missing

IMAGE_TAR := $(BUILD)/image/laneway-$(VERSION).tar
image: ## an OCI image as a tar file, with its SBOM beside it; needs no engine
	@$(MAKE) --no-print-directory deps DEPS='$(DEPS) $(IMAGE_DEPS)'
	@$(MAKE) -s --no-print-directory -j$(shell nproc) $(BIN)
	@deploy/image/build.py $(BIN) $(VERSION) $(IMAGE_TAR)

install: $(BIN) ## the program, its manual page, unit and options, below DESTDIR and PREFIX
	install -D -m 0755 $(BIN) $(DESTDIR)$(SBINDIR)/laneway
	install -D -m 0644 docs/laneway.8 $(DESTDIR)$(MANDIR)/man8/laneway.8
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSCONFDIR)/laneway/state
	sed 's,@SBINDIR@,$(SBINDIR),' deploy/systemd/laneway.service >$(DESTDIR)$(UNITDIR)/laneway.service
	chmod 0644 $(DESTDIR)$(UNITDIR)/laneway.service
	test -e $(DESTDIR)$(SYSCONFDIR)/laneway/options || \
		install -m 0644 deploy/systemd/options $(DESTDIR)$(SYSCONFDIR)/laneway/options
install-kubectl: ## the kubectl plugin, where kubectl is used
	install -D -m 0755 deploy/kubectl-laneway $(DESTDIR)$(BINDIR)/kubectl-laneway
man: docs/laneway.8 ## check the manual page
	@MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z docs/laneway.8 2>&1 >/dev/null | (! grep .)

clean: ## remove everything generated
	rm -rf $(BUILD)
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all bpf user tools objects test test-all test-unit test-bpf test-netns test-vm test-vm-ci test-faults soak-faults next test-upgrade test-held-up \
	test-kube test-node bench-kube test-runtimes test-deploy \
	demo bench bench-inbound bench-state soak fuzz \
	check format deps image install install-kubectl man clean help
.DEFAULT_GOAL := all

-include $(wildcard $(BUILD)/bpf/*.d)
-include $(patsubst %.c,$(OBJ)/%.d,$(LIB_SRC) $(KERN_SRC) $(BPFTEST_SRC) $(TOOL_SRC) $(HOP_SRC) $(FUZZ_SRC) tests/kube/nodes.c user/daemon/main.c)
-include $(patsubst %.c,$(SAN)/%.d,$(LIB_SRC) $(UNIT_SRC) $(FUZZ_SRC) tests/fuzz/replay.c tests/kube/nodes.c) $(patsubst %.c,$(FUZZ)/obj/%.d,$(LIB_SRC) $(FUZZ_SRC))
