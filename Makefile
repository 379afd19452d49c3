# Two targets do all the set-up on a fresh machine: `make demo` needs Go alone,
# `make check` installs what its tests need where it can and names the rest.

GO       ?= go
VERSION  ?= $(shell git describe --always --dirty 2>/dev/null || echo unknown)
BUILT    ?= $(shell git log -1 --format=%ct 2>/dev/null || date +%s)
LDFLAGS  := -s -w -X main.version=$(VERSION) -X main.builtAt=$(BUILT)
BUILD    := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# What keeps the binaries of routers small: HTTP/2 is left out, which neither an
# SM-DP+ needs nor the API offers, and the compiler inlines only where that is
# worth its room: in what counts bytes and bits, without COLD, which runs once a
# handshake, a request or a system call. Elsewhere a deferred call is not laid out at each return.
TAGS := nodemo,nethttpomithttp2
COLD := crypto/tls crypto/x509/... crypto/ecdsa crypto/rsa crypto/ecdh crypto/elliptic crypto/hpke \
  crypto/internal/fips140/ecdsa crypto/internal/fips140/rsa encoding/asn1 encoding/json encoding/pem encoding/xml \
  crypto/internal/fips140/nistec crypto/mlkem crypto/internal/fips140/mlkem crypto/ed25519 crypto/internal/fips140/ed25519 crypto/internal/fips140/drbg \
  crypto/internal/fips140/hkdf crypto/internal/fips140/tls12 crypto/internal/fips140/tls13 crypto/des crypto/rc4 crypto/dsa crypto/rand \
  internal/poll internal/godebug internal/syscall/unix internal/fmtsort internal/strconv
DEFER := -d=noopendefer=1
ROUTER := -gcflags=all='-l $(DEFER)' \
  $(foreach p,bytes slices crypto/... encoding/... internal/... runtime/... sync/...,-gcflags=$(p)=) \
  $(foreach p,$(COLD),-gcflags=$(p)='-l $(DEFER)')
# The pages of 32-bit routers' kernels, to which segments are aligned; the linker's
# own 64 KiB are for those of a few disk stations.
PAGE := 4096
# Bytes that no router's binary may pass: TARGET:LIMIT.
LIMITS := arm-7:13000000 arm-7+notui:11500000 mipsle-softfloat:15000000

# GOOS/GOARCH/variant of every router that the packages are built for, and +TAG
# for one without a part.
CROSS := arm-5 arm-6 arm-7 arm-7+notui arm64 mipsle-softfloat mips-softfloat riscv64 amd64

# What tests use from Debian: tool:package. A missing one skips its test with
# a reason, so an ordinary user without apt-get can run `make check` as well.
DEBIAN := ip:iproute2 nsenter:util-linux openssl:openssl gdbus:libglib2.0-bin mandoc:mandoc zsh:zsh chromium:chromium tmux:tmux \
  busybox:busybox curl:curl shellcheck:shellcheck nft:nftables qemu-arm-static:qemu-user-static

# The same for services. They are installed only where nothing starts them (no
# systemd: a container), or with CI=true: ModemManager on somebody's machine
# would take the modems there.
SERVICES := mmcli:modemmanager dbus-run-session:dbus pkaction:polkitd

OUT := bin
FUZZTIME ?= 20s
TABLES := $(CURDIR)/bin/tables

.DEFAULT_GOAL := build
.PHONY: build man demo check lint test deps emulated cross-test fuzz bench soak pictures cross sizes packages cosa-db ci-roots clean

build:
	$(BUILD) -o bin/dynamod ./daemon

man: build
	bin/dynamod man >bin/dynamod.8
	bin/dynamod man dynamod.toml >bin/dynamod.toml.5

demo: build
	bin/dynamod demo $(DEMOFLAGS)

check: deps lint test packages
	$(GO) run ./rootfs/sizes -check $(LIMITS)
	@$(MAKE) --no-print-directory emulated CROSS_TEST=$(firstword $(CROSS_TEST))

deps:
	@missing=; services=; \
	for p in $(DEBIAN); do command -v $${p%%:*} >/dev/null 2>&1 || missing="$$missing $${p##*:}"; done; \
	for p in $(SERVICES); do command -v $${p%%:*} >/dev/null 2>&1 || services="$$services $${p##*:}"; done; \
	if [ -n "$$CI" ] || [ ! -d /run/systemd/system ]; then missing="$$missing$$services"; \
	elif [ -n "$$services" ]; then echo "left out, they would be started here:$$services; tests that need them are skipped, CI=true installs them"; fi; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; } >/dev/null \
	      || echo "cannot install:$$missing; tests that need them are skipped"; \
	  else echo "not installed:$$missing; tests that need them are skipped"; fi; \
	fi

lint:
	@out=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "gofmt would change:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags nodemo,notui ./...
	$(GO) run $(STATICCHECK) ./...

# Of packages that pass nothing is shown: the walks leave their tables in TABLES. The
# tests that weigh memory cannot with the race detector, which has memory of its own.
test:
	DYNAMOD_TABLES=$(TABLES) $(GO) test -race -timeout 15m ./...
	$(GO) test -run '^(TestEventStreamsCost|TestMemory)$$' ./daemon/hook ./configs/cosa/importer
	@for f in $(TABLES)/*.txt; do [ ! -f "$$f" ] || { basename "$$f" .txt; cat "$$f"; echo; }; done

cross:
	@for t in $(CROSS); do \
	  p=$${t%%+*}; arch=$${p%%-*}; v=$${p#*-}; more=$${t#$$p}; env="GOOS=linux GOARCH=$$arch"; \
	  case $$p in arm-*) env="$$env GOARM=$$v" page=$(PAGE);; mips*) env="$$env GOMIPS=$$v" page=$(PAGE);; *) page=-1;; esac; \
	  printf '%-18s' "linux/$$t"; \
	  env $$env CGO_ENABLED=0 $(GO) build -trimpath -tags "$(TAGS)$${more:+,$${more#+}}" $(ROUTER) -ldflags "$(LDFLAGS) -R $$page" -o $(OUT)/dynamod-linux-$$t ./daemon || exit 1; \
	  size=$$(wc -c <$(OUT)/dynamod-linux-$$t); echo " $$size"; \
	  for l in $(LIMITS); do if [ $${l%%:*} = $$t ] && [ $$size -gt $${l##*:} ]; then echo "linux/$$t is over its $${l##*:} bytes"; exit 1; fi; done; \
	done

# rootfs/sizes.txt; MEASURE=-levers builds without each of the levers as well.
sizes:
	@$(MAKE) --no-print-directory cross CROSS="$(foreach l,$(LIMITS),$(firstword $(subst :, ,$(l))))"
	$(GO) run ./rootfs/sizes $(MEASURE) $(LIMITS)

# .deb and OpenWrt's .ipk in bin/packages, the same bytes each time.
packages: cross man
	bin/dynamod completion bash >bin/dynamod.bash
	bin/dynamod completion zsh >bin/dynamod.zsh
	rm -rf bin/packages
	$(GO) run ./rootfs/pack -version '$(VERSION)' -built $(BUILT)

# The packages that ask the kernel, tested as the router's processor would run them,
# compiled as the binaries are, and then the packages' programs themselves. CROSS_TEST
# has GOARCH, variant and qemu's name for it; make check takes the first.
SYSCALLS := ./atcmd/port/... ./board/... ./daemon/durable ./daemon/helper ./daemon/journal ./netlink/...
CROSS_TEST := arm-7:arm arm64:aarch64 mipsle-softfloat:mipsel riscv64:riscv64
# What qemu's emulation of a process cannot: start another program of the router's,
# rules of routing, the filter of ICMPv6, error numbers in netlink messages on MIPS.
EMULATED_NOT := ^(TestBusyNamesTheOtherProcess|TestHolder|TestInhibitEndsWithTheProcess|TestHelperProcess|TestHelperPPPD|TestAttacks)$$|^(TestDialer|TestPeerAddress|TestKeepOnWire)$$|^(TestForeign|TestNoInterface|TestWatch)$$/^linux$$|^(TestApply|TestApplyFrom)$$/./^linux$$|^(TestApply|TestApplyFrom)$$/././^linux$$|^TestErrors$$
cross-test: deps packages
	@$(MAKE) --no-print-directory emulated

emulated:
	@for t in $(CROSS_TEST); do \
	  q=$${t##*:}; t=$${t%%:*}; arch=$${t%%-*}; v=$${t#*-}; env="GOOS=linux GOARCH=$$arch"; \
	  case $$t in arm-*) env="$$env GOARM=$$v";; mips*) env="$$env GOMIPS=$$v";; esac; \
	  if ! command -v qemu-$$q-static >/dev/null 2>&1; then echo "linux/$$t: qemu-$$q-static is not installed, its tests are skipped"; continue; fi; \
	  echo "linux/$$t by qemu-$$q"; \
	  env $$env CGO_ENABLED=0 $(GO) test -trimpath -tags "$(TAGS)" $(ROUTER) -exec qemu-$$q-static -skip '$(EMULATED_NOT)' -timeout 10m $(SYSCALLS) | grep -v 'no test files' | tee bin/cross-test.log; \
	  if grep -q '^FAIL' bin/cross-test.log; then exit 1; fi; \
	done
	DYNAMOD_PACKAGES=$(CURDIR)/bin $(GO) test -count=1 -run '^TestPackaged$$' ./rootfs/pack

# Every fuzz target in turn, each for FUZZTIME.
fuzz:
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; \
	done

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

# The long runs: small tests many times over, walks to their end, with the tables
# that they print.
soak: cross-test
	DYNAMOD_SOAK=1 $(GO) test -race -count=5 -timeout 60m $$($(GO) list ./... | grep -v -e /daemon$$ -e /daemon/demo$$)
	DYNAMOD_SOAK=1 $(GO) test -race -v -timeout 4h -skip TestFaultWalk ./daemon ./daemon/demo
	DYNAMOD_SOAK=1 $(GO) test -v -run TestFaultWalk -timeout 4h ./daemon/demo

# The pictures of the README, from the running thing.
pictures: deps
	@mkdir -p docs/pictures
	DYNAMOD_PICTURES=$(CURDIR)/docs/pictures $(GO) test -count=1 -run '^TestPictures$$' ./daemon ./daemon/hook/page

cosa-db:
	@[ -r /usr/share/mobile-broadband-provider-info/serviceproviders.xml ] || apt-get install -y -qq --no-install-recommends mobile-broadband-provider-info
	$(GO) generate ./configs/cosa

ci-roots:
	$(GO) generate ./euicc/ci

clean:
	rm -rf bin
