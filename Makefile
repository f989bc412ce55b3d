# espalier: make run · make test · make bench · make install
#
#   make            build ./espalier
#   make run        install what is missing (Debian), build, get the model, open the explorer
#   make test       unit, property, reference, golden and end-to-end tests, then again under ASan + UBSan
#   make test-all   test, and what takes long or needs the network: TSan, fuzzing, peers
#   make bench      speed beside the machine's limits and the peers that are found
#   make asan|tsan  the program and its tests built with that sanitizer
#   make fuzz       libFuzzer targets, FUZZ_SECONDS each
#   make format     clang-format, in place
#   make install    PREFIX=/usr/local

CC      ?= gcc
BUILD   ?= build
FLOORS  ?= kernels engine search tui
PREFIX  ?= /usr/local
VERSION := 0.1.0

PACKAGES := gcc make pkg-config libncurses-dev libyaml-dev libopenblas-dev libpcre2-dev libjansson-dev libutf8proc-dev
TEST_PACKAGES := libcmocka-dev tmux
LIBRARIES := ncursesw yaml-0.1 openblas libpcre2-8 jansson libutf8proc

WARNINGS := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wvla
CFLAGS   ?= -O2 -g
FLAGS     = -std=c11 -D_DEFAULT_SOURCE -D_POSIX_C_SOURCE=200809L -DESPALIER_VERSION='"$(VERSION)"' $(WARNINGS) -fno-math-errno -ffp-contract=off -pthread -MMD -MP -I. \
            $(shell pkg-config --cflags $(LIBRARIES) 2>/dev/null) $(SANITIZE)
LIBS      = $(shell pkg-config --libs $(LIBRARIES) 2>/dev/null) -lm -pthread $(SANITIZE)

SOURCES := $(foreach f,$(FLOORS),$(wildcard $(f)/*.c))
OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(SOURCES))
MAIN    := $(BUILD)/tui/main.o
TESTS   := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/test_*.c))
ARCHIVE := $(BUILD)/libespalier.a

all: espalier

espalier: $(BUILD)/espalier
	@cp $< $@

$(BUILD)/espalier: $(MAIN) $(ARCHIVE)
	$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

$(ARCHIVE): $(filter-out $(MAIN),$(OBJECTS))
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(CFLAGS) $(EXTRA) -c -o $@ $<

# Files named for an instruction set are compiled for it; which runs is chosen at run time.
$(BUILD)/kernels/avx2%.o: EXTRA := -mavx2 -mfma -mf16c -O3
$(BUILD)/kernels/reference%.o: EXTRA := -O3

$(BUILD)/tests/%: tests/%.c $(ARCHIVE)
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(CFLAGS) -o $@ $< $(ARCHIVE) $(LIBS) $(shell pkg-config --libs cmocka)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.PHONY: all
.SECONDARY:
