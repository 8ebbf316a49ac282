# Bobbin. `make` shows what this machine has and builds the programs; `make help` lists the rest.
#
# Yours to set: CXX, ARCH (what -march gets), ARGS (for run and bench), T (for test), PREFIX,
# LIBDIR and DESTDIR (for install), AUTO_DEPS=0 (install no packages), V=1 (show the commands), CUDA=1 (compute
# on an NVIDIA GPU), MPI=1 (let mpirun start a program several times).

ARCH   ?= native
PREFIX ?= /usr/local
LIBDIR ?= lib
VERSION = 0.1.0
B       = build
# Where programs and libraries go that compute on the processor, or with CUDA=1 on a GPU; and with MPI=1
# those that know of one another.
BIN     = $(B)$(if $(CUDA),/cuda)$(if $(MPI),/mpi)
export AUTO_DEPS ?= 1
export FASHION_MNIST_URL ?= http://fashion-mnist.s3-website.eu-central-1.amazonaws.com

MAKEFLAGS += --no-print-directory
Q = $(if $(V),,@)
# As many jobs as cores, unless -j says otherwise.
BUILD = $(MAKE) $(if $(filter -j%,$(MAKEFLAGS)),,-j$(or $(shell nproc 2>/dev/null),2))

comma := ,
empty :=
space := $(empty) $(empty)
# A word of the shell.
quote = '$(subst ','\'',$(1))'

# --- OpenBLAS -------------------------------------------------------------------------------------
# We want its OpenMP build: then the threads of our loops and of its products are one and the same
# pool. Debian keeps that build in a folder of its own; the rpath makes sure that no other build is
# loaded instead. Fedora calls it libopenblaso. Elsewhere pkg-config knows.
#
# clang's OpenMP library (libomp) can also speak for GNU's (libgomp), for which OpenBLAS was built.
# The program names libomp and OpenBLAS, but libgomp only through OpenBLAS, so libomp is found first
# and serves both. Hence: never link libgomp by name, or there are two pools, and products become
# five times slower.
DEBIAN_BLAS := $(firstword $(wildcard /usr/lib/$(shell uname -m)-*/openblas-openmp))
ifneq ($(DEBIAN_BLAS),)
  export BLAS_CFLAGS := -I$(patsubst /usr/lib/%,/usr/include/%,$(DEBIAN_BLAS))
  export BLAS_LIBS   := -L$(DEBIAN_BLAS) -Wl,-rpath,$(DEBIAN_BLAS) -lopenblas
else ifneq ($(wildcard /usr/lib64/libopenblaso.so),)
  export BLAS_CFLAGS := -I/usr/include/openblas
  export BLAS_LIBS   := -lopenblaso
else
  export BLAS_CFLAGS := $(shell pkg-config --cflags openblas 2>/dev/null)
  export BLAS_LIBS   := $(or $(shell pkg-config --libs openblas 2>/dev/null),-lopenblas)
endif

# --- Pictures -------------------------------------------------------------------------------------
# JPEG and PNG are always read; WebP and TIFF where their libraries are, TIFF from version 4.5 on.
# Without pkg-config a header tells.
header = $(wildcard $(addsuffix /$(1),/usr/include /usr/include/*-linux-gnu))
export PICTURE_LIBS := $(or $(shell pkg-config --libs libjpeg libpng 2>/dev/null),-ljpeg -lpng)
export WEBP_LIBS := $(or $(shell pkg-config --libs libwebpdemux libwebp 2>/dev/null),$\
                      $(if $(call header,webp/demux.h),-lwebpdemux -lwebp))
export TIFF_LIBS := $(or $(shell pkg-config --libs 'libtiff-4 >= 4.5' 2>/dev/null),$\
                      $(if $(shell grep -s TIFFOpenOptionsAlloc $(call header,tiffio.h) /dev/null),-ltiff))
export PICTURE_CFLAGS := $(shell pkg-config --cflags libjpeg libpng 2>/dev/null) \
  $(if $(WEBP_LIBS),-DBOBBIN_WEBP $(shell pkg-config --cflags libwebpdemux 2>/dev/null)) \
  $(if $(TIFF_LIBS),-DBOBBIN_TIFF $(shell pkg-config --cflags libtiff-4 2>/dev/null))

# --- oneDNN ---------------------------------------------------------------------------------------
# Multiplies matrices of bfloat16, where it is.
export ONEDNN_LIBS := $(or $(shell pkg-config --libs dnnl 2>/dev/null),$\
                        $(if $(call header,oneapi/dnnl/dnnl.hpp),-ldnnl))
export ONEDNN_CFLAGS := $(shell pkg-config --cflags dnnl 2>/dev/null)

# --- MPI ------------------------------------------------------------------------------------------
# Open MPI, or MPICH.
export MPI_PACKAGE := $(firstword $(foreach p,mpi ompi mpich,$(shell pkg-config --exists $(p) 2>/dev/null && echo $(p))))
ifneq ($(MPI_PACKAGE),)
  export MPI_LIBS := $(shell pkg-config --libs $(MPI_PACKAGE))
  export MPI_CFLAGS := $(shell pkg-config --cflags $(MPI_PACKAGE))
else ifneq ($(MPI),)
  $(error MPI=1 needs MPI, which pkg-config does not find: apt-get install libopenmpi-dev openmpi-bin)
endif
ifneq ($(and $(MPI),$(filter test% asan check% fuzz install lay-down man deb,$(MAKECMDGOALS))),)
  $(error MPI=1 is for programs, make MPI=1; make test tests them where MPI is)
endif

# --- Flags ----------------------------------------------------------------------------------------
# No -ffast-math: NaN and infinity must behave. The two -fno- flags give most of its speed and none
# of its harm.
export CXX
# With AVX-512 compilers take vectors of half its width, unless they are told: a training step in
# bfloat16 is a tenth faster with whole ones. (Lower clocks are no argument: OpenBLAS has whole ones.)
OPT      = -O3 $(if $(filter x86_64,$(shell uname -m)),-mprefer-vector-width=512)
# Loops worth optimising are in these folders alone; everything else should compile fast.
LOOPS    = tensor/% data/% tests/cuda/emulator/%
REST_OPT = -O1
TEST_OPT = -O0 -DDOCTEST_CONFIG_SUPER_FAST_ASSERTS
# clang also warns of each `omp simd` loop that it leaves as it is: that is slower, but no mistake.
WARN     = -Wall -Wextra -Werror $(if $(findstring clang,$(CXX)),-Wno-pass-failed)
SANITIZE =
CXXFLAGS = -std=c++20 -march=$(ARCH) -fopenmp -fno-math-errno -fno-trapping-math $(WARN) $(SANITIZE)
optimise = $(if $(filter $(LOOPS),$(1)),$(OPT),$(if $(filter tests/% %/tests.h,$(1)),$(TEST_OPT),$(REST_OPT)))
COMPILE  = $(CXX) $(CXXFLAGS) $(call optimise,$<) -I. -Iapps/include $(BLAS_CFLAGS) $(CPPFLAGS) \
           $(if $(filter data/codecs/% data/images/codec.cpp,$<),$(PICTURE_CFLAGS)) \
           $(if $(filter tensor/cpu/onednn%,$<),$(ONEDNN_CFLAGS)) \
           $(if $(filter tensor/comm/mpi.cpp,$<),$(MPI_CFLAGS)) $(if $(filter tensor/comm/nccl.cpp,$<),$(NCCL_CFLAGS)) \
           $(if $(filter apps/common/run_config.cpp,$<),-DBOBBIN_COMMIT='"$(COMMIT)"')
LIBS     = $(BLAS_LIBS) $(ONEDNN_LIBS) $(PICTURE_LIBS) $(WEBP_LIBS) $(TIFF_LIBS) $(if $(MPI),$(MPI_LIBS)) -lz
# Which sources these are: train notes it in config.json.
COMMIT  := $(if $(wildcard .git),$(or $(shell git describe --always --dirty 2>/dev/null),unknown),$(VERSION))

# --- Sources --------------------------------------------------------------------------------------
# The library and the tests are built for real = float, and what computes once more for real = double, to check
# gradients sharply.
FOLDERS  = tensor autograd nn data optim
LIB_SRC  = $(filter-out $(if $(WEBP_LIBS),,%/webp.cpp) $(if $(TIFF_LIBS),,%/tiff.cpp) \
             $(if $(ONEDNN_LIBS),%/without_onednn.cpp,%/onednn.cpp %/onednn_conv2d.cpp) \
             $(if $(MPI),%/comm/alone.cpp $(if $(CUDA),%/comm/mpi_sums.cpp,%/comm/nccl.cpp),\
               %/comm/mpi.cpp %/comm/mpi_sums.cpp %/comm/nccl.cpp),\
             $(wildcard $(FOLDERS:%=%/*.cpp) $(FOLDERS:%=%/*/*.cpp)))
APP_SRC  = $(wildcard apps/*.cpp)
EXAMPLE_SRC = $(wildcard apps/examples/*.cpp)
LESSON_SRC = $(wildcard apps/lessons/*/*.cpp)
# What the programs have in common.
COMMON_SRC = $(wildcard apps/common/*.cpp)
FUZZ_SRC = tests/fuzz/fuzz.cpp
TEST_SRC = $(filter-out $(FUZZ_SRC) tests/cuda/% tests/ranks/%,\
             $(wildcard tests/*.cpp tests/*/*.cpp tests/*/*/*.cpp))
# Programs, files and runs have nothing to say about double, and math_test names its types itself.
DOUBLE_SRC = $(filter-out data/codecs/% data/drawing/% data/images/% data/sets/% optim/log/% optim/training/%,$(LIB_SRC))
DOUBLE_TEST_SRC = $(filter-out %/any_model_test.cpp %/math_test.cpp tests/nn/pretrained/%,\
                    $(filter tests/main.cpp tests/autograd/% tests/golden/% tests/nn/% tests/optim/optimizer_test.cpp tests/tensor/%,$(TEST_SRC)))

SOURCES  = $(LIB_SRC) $(APP_SRC) $(EXAMPLE_SRC) $(LESSON_SRC) $(COMMON_SRC) $(TEST_SRC) $(FUZZ_SRC) $(RANKS_SRC)

BACKEND  = $(if $(CUDA),cuda,float)
FLOAT    = $(if $(MPI),$(BIN),$(B)/$(BACKEND))/libbobbin.a
COMMON   = $(B)/$(BACKEND)/libcommon.a
PROGRAMS = $(APP_SRC:apps/%.cpp=$(BIN)/%)
EXAMPLES = $(EXAMPLE_SRC:apps/%.cpp=$(BIN)/%)
LESSONS  = $(LESSON_SRC:apps/%.cpp=$(BIN)/%)
TESTS    = $(if $(CUDA),$(BIN)/test_gpu,$(B)/test_float $(B)/test_double $(B)/test_cuda)
# Of several ranks: what mpirun starts. Not with sanitizers, as MPI itself leaks.
MPI_TESTS = $(if $(MPI_PACKAGE),$(if $(CUDA)$(SANITIZE),,$(patsubst %,$(B)/mpi/%,$\
              train evaluate classify test_ranks test_ranks_emulated)))
RANKS_SRC = tests/main.cpp tests/ranks/ranks_test.cpp

# --- Some of the tests ----------------------------------------------------------------------------
# make test T=WORDS: the files that have WORDS in their paths, all of each, and of the others the
# test cases that have WORDS in their names. Only these files are compiled and linked.
ifneq ($(if $(filter command,$(origin T)),$(T)),)
  FOUND := $(shell T=$(call quote,$(T)) sh .make/find_tests.sh $(TEST_SRC))
  whole  = $(patsubst whole:%,%,$(filter whole:%,$(FOUND)))
  part   = $(patsubst part:%,%,$(filter part:%,$(FOUND)))
  other  = $(patsubst other:%,%,$(filter other:%,$(FOUND)))
  files  = $(subst $(space),$(comma),$(whole))
  ifeq ($(whole)$(part),)
    $(error T="$(T)" is in no test's name, and in no path of a file in tests/)
  endif
  CHOSEN = $(BIN)/test_chosen $(if $(filter tests/apps/%,$(whole) $(part)),programs) \
           $(if $(filter tests/apps/examples%,$(whole) $(part)),$(EXAMPLES)) \
           $(if $(filter tests/apps/lessons%,$(whole) $(part)),$(LESSONS))
  RUNS   = $(if $(whole),'$(BIN)/test_chosen -sf=$(files)') \
           $(if $(part),'$(BIN)/test_chosen -tc="$$NAMES" $(if $(whole),-sfe=$(files))')
  export NAMES := *$(subst $(comma),*$(comma)*,$(T))*
# Others may have been chosen the last time.
.PHONY: $(BIN)/test_chosen
else
  # The programs' tests are a process of their own: some wait, for a run to be killed or a rank to be missed.
  RUNS   = $(if $(CUDA),,"$(B)/test_float -sf='*tests/apps/*'" "$(B)/test_float -sfe='*tests/apps/*'" $(B)/test_double) \
           $(CUDA_RUNS) $(if $(CUDA),,'sh tests/browser/run.sh $(BIN)' 'sh tests/book.sh')
endif

# What make test-quick leaves out: it runs no programs, reads no broken files by the thousand, and
# samples no functions by the million.
SLOW = -sfe='*tests/apps/*,*tests/fuzz/*,*/math_test*' \
  -tce='resize follows*,im2col shows*,large broadcasts*,safetensors: a hostile*,*a damaged PNG*,$\
        json: neither*,safetensors: a note*'

# --- What you ask for -----------------------------------------------------------------------------
.PHONY: all help book docs run bench bench-peers test test-quick asan fuzz data format tidy install lay-down man deb tarball clean
.PHONY: deps programs examples tests FORCE
.DEFAULT_GOAL = all

all:
	@sh .make/deps.sh show
	@$(BUILD) programs

help:
	@echo 'make                    show what was found, and build the programs'
	@echo 'make run                train the Vision Transformer; ARGS=--help shows what it can be told'
	@echo 'make book               make pages of the folders and sources, in build/book; needs pandoc'
	@echo 'make docs               make pages of all public names, in build/docs; needs doxygen'
	@echo 'make examples           build the small programs of apps/examples, into build/examples'
	@echo 'make lesson-3           check the exercise of that lesson; apps/lessons has all'
	@echo 'make test               build and run all tests'
	@echo 'make test T=WORDS       only those with WORDS in their name or their file'\''s path'
	@echo 'make test-quick         the library in float and in double, without what is slow'
	@echo 'make bench              measure speed; ARGS=--sweep shows how the cost grows'
	@echo 'make bench-peers        measure beside PyTorch, LibTorch and JAX; ARGS="--python PATH" has them'
	@echo 'make data               fetch Fashion-MNIST, where no package has it'
	@echo 'make check-cuda         run the CUDA kernels on the emulator, with sanitizers'
	@echo 'make check-cuda-plants  plant mistakes in a copy of the kernels: which are noticed?'
	@echo 'make asan               run all tests with address and undefined-behaviour sanitizers'
	@echo 'make fuzz               throw made-up files at each reader, for FUZZ_SECONDS=600'
	@echo 'make format             lay out the sources with clang-format'
	@echo 'make tidy               look for mistakes with clang-tidy'
	@echo 'make install            library, headers, programs and their pages, into PREFIX=/usr/local'
	@echo 'make man                pages for man of the programs, in build/man'
	@echo 'make deb                a Debian package of what make install lays down, in build'
	@echo 'make tarball            the sources as build/bobbin-$(VERSION).tar.gz'
	@echo 'make clean              remove build/'
	@echo 'Also: CUDA=1 (programs, run, bench and test for an NVIDIA GPU, in build/cuda)'
	@echo '      MPI=1 (programs that mpirun starts on several machines, in build/mpi)'
	@echo '      CXX=clang++  ARCH=x86-64-v3  V=1 (show commands)  AUTO_DEPS=0 (install no packages)'

# Each builds in a make of its own, because what deps installs changes what the Makefile finds.
run: deps
	@$(BUILD) programs
	@$(BIN)/train $(ARGS)

# The pages need no program, only pandoc and Python.
book:
	@command -v pandoc > /dev/null && command -v python3 > /dev/null || \
	  { echo 'make book needs pandoc and Python: apt-get install pandoc python3' >&2; exit 1; }
	@python3 apps/book/make_book.py $(B)/book

# Of the headers for programs; a name that has no documentation is an error.
docs:
	@command -v doxygen > /dev/null || { echo 'make docs needs doxygen: apt-get install doxygen' >&2; exit 1; }
	@mkdir -p $(B)/docs
	@{ cat .make/Doxyfile; echo 'OUTPUT_DIRECTORY = $(B)/docs'; echo 'INPUT = $(PUBLIC)'; } | doxygen -
	@echo 'made $(B)/docs: open $(B)/docs/index.html'

examples: deps
	@$(BUILD) $(EXAMPLES)

# The program of a lesson, and the check of its exercise, which says what is wrong with it.
lesson-%: deps
	@[ -d apps/lessons/$*_* ] || { echo 'there is no lesson $*: apps/lessons/README.md lists them' >&2; exit 1; }
	@$(BUILD) $(filter $(BIN)/lessons/$*_%,$(LESSONS))
	@$(BIN)/lessons/$(notdir $(wildcard apps/lessons/$*_*))/check

bench: deps
	@$(BUILD) programs
	@$(BIN)/bench $(ARGS)

bench-peers: deps
	@$(BUILD) programs
	@BOBBIN_BUILD=$(BIN) python3 apps/peers/bench_peers.py $(ARGS)

test: deps
	@$(BUILD) $(or $(CHOSEN),programs $(EXAMPLES) $(LESSONS) tests)
	@$(if $(and $(MPI_TESTS),$(if $(CHOSEN),$(filter %/ranks_test.cpp,$(whole) $(part)),all)),$(BUILD) MPI=1 $(MPI_TESTS))
	@BOBBIN_BUILD=$(BIN) $(if $(CUDA),JOBS=1) sh tests/run.sh $(RUNS)

test-quick: deps
	@$(BUILD) $(B)/test_float $(B)/test_double
	@sh tests/run.sh "$(B)/test_float $(SLOW)" "$(B)/test_double $(SLOW)"

# For the lines in what a sanitizer reports, named from here: so the objects of two checkouts are the same, and ccache
# knows them.
LINE_NUMBERS = -g1 -ffile-prefix-map=$(CURDIR)=.
ASAN = $(LINE_NUMBERS) -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
asan:
	@ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 \
	  $(MAKE) test B=build/asan OPT=-O1 SANITIZE='$(ASAN)'

# A library of its own, in which libFuzzer sees the way that an input takes.
FUZZ_SECONDS = 600
fuzz: deps
	@command -v clang++ > /dev/null || \
	  { echo 'make fuzz needs clang++: apt-get install clang libomp-dev' >&2; exit 1; }
	@$(BUILD) build/fuzz/fuzz B=build/fuzz CXX=clang++ OPT=-O1 \
	  SANITIZE='$(ASAN) -fsanitize=fuzzer-no-link'
	@sh tests/fuzz/run.sh build/fuzz/fuzz $(FUZZ_SECONDS)

data:
	@sh .make/data.sh

deps:
	@sh .make/deps.sh

format:
	@find $(FOLDERS) apps tests -name '*.cpp' -o -name '*.h' -o -name '*.cu' | xargs clang-format -i
tidy:
	clang-tidy --quiet $(SOURCES) -- $(CXXFLAGS) -I. -Iapps/include $(BLAS_CFLAGS) $(PICTURE_CFLAGS)

# The header for programs and what it reaches, for the compiler to say; the rest is nobody else's.
PUBLIC = $(filter %.h,$(shell $(CXX) -std=c++20 -fopenmp -I. -MM apps/include/bobbin.h))
# The programs that are tools; train_vit is to be read.
TOOLS  = $(filter-out %/train_vit,$(PROGRAMS))
MAN    = $(TOOLS:$(BIN)/%=$(BIN)/man/bobbin-%.1)
install:
	@sh .make/deps.sh show
	@$(BUILD) lay-down
lay-down: $(FLOAT) $(TOOLS) $(MAN)
	@CXXFLAGS='-std=c++20 -fopenmp $(SANITIZE)' LIBS='$(LIBS)' VERSION=$(VERSION) LIBDIR=$(LIBDIR) BIN=$(BIN) TOOLS='$(notdir $(TOOLS))' \
	  sh .make/install.sh $(call quote,$(DESTDIR)) $(call quote,$(PREFIX)) $(FLOAT) $(PUBLIC)

man: deps
	@$(BUILD) $(MAN)
# Of the sources, for what says when it was made; without git of this file.
DATE = $(or $(if $(wildcard .git),$(shell git log -1 --format=%cI 2>/dev/null)),$(shell date -Is -r Makefile))
$(BIN)/man/bobbin-%.1: $(BIN)/% .make/man.awk Makefile
	@echo "make $@"; mkdir -p $(@D)
	$(Q)$< --help > $@.help && \
	  awk -v name=bobbin-$* -v version=$(VERSION) -v date=$(firstword $(subst T, ,$(DATE))) -f .make/man.awk $@.help > $@.part && \
	  rm $@.help && mv $@.part $@

# For a processor that others have, too, unless ARCH says which: with AVX2 and FMA, as x86-64 has had since 2013 or 2015.
DEB_ARCH = $(or $(if $(filter file,$(origin ARCH)),$(if $(filter x86_64,$(shell uname -m)),x86-64-v3)),$(ARCH))
deb:
	@test '$(DEB_ARCH)' != native || test '$(origin ARCH)' != file || { echo 'make deb: for which processors of $(shell uname -m)? Say ARCH=..., as -march takes it' >&2; exit 1; }
	@command -v dpkg-shlibdeps > /dev/null || { echo 'make deb needs dpkg-shlibdeps: apt-get install dpkg-dev' >&2; exit 1; }
	@sh .make/deps.sh show
	@rm -rf $(B)/deb
	@$(BUILD) lay-down $(if $(filter $(ARCH),$(DEB_ARCH)),,B=$(B)/$(DEB_ARCH) ARCH=$(DEB_ARCH)) \
	  DESTDIR=$(B)/deb PREFIX=/usr LIBDIR=lib/$$(dpkg-architecture -q DEB_HOST_MULTIARCH)
	@VERSION=$(VERSION) DATE=$(DATE) PROCESSOR=$(DEB_ARCH) sh .make/deb.sh $(B)

tarball:
	@mkdir -p $(B)
	@git archive -o $(B)/bobbin-$(VERSION).tar.gz --prefix=bobbin-$(VERSION)/ HEAD
	@echo 'made $(B)/bobbin-$(VERSION).tar.gz'

clean:
	rm -rf build

# --- How it is built ------------------------------------------------------------------------------
programs: $(PROGRAMS) ; @:
tests: $(TESTS) ; @:

# What names the backend is compiled once more for a GPU, and for the emulator of one; all else is the
# same with any, and is taken from build/float.
NAMES_BACKEND := $(shell grep -l '"tensor/backend.h"' $(SOURCES))
object = $(patsubst %,$(B)/$(1)/%.o,$(basename $(2)))
once_more = tests/cuda/% tensor/cuda/% tensor/comm/nccl.cpp $(NAMES_BACKEND)
linked = $(call object,$(1),$(filter $(once_more),$(2))) $(call object,float,$(filter-out $(once_more),$(2)))

$(FLOAT): $(call linked,$(BACKEND),$(LIB_SRC))
$(COMMON): $(call linked,$(BACKEND),$(COMMON_SRC))
$(foreach p,$(APP_SRC) $(EXAMPLE_SRC) $(LESSON_SRC),$(eval $(p:apps/%.cpp=$(BIN)/%): $(call linked,$(BACKEND),$(p))))
$(PROGRAMS): $(COMMON) $(FLOAT)
$(EXAMPLES) $(LESSONS): $(FLOAT)
# Of a template that several objects have made the linker takes the first: the library's, which is optimised, and not
# that of a test. Reading the many files of tests/fuzz takes half as long so.
$(B)/test_float: $(call object,float,$(LIB_SRC) $(COMMON_SRC) $(TEST_SRC))
$(B)/test_double: $(call object,double,$(DOUBLE_SRC) $(DOUBLE_TEST_SRC))
$(BIN)/test_chosen: $(call linked,$(BACKEND),$(whole) $(part) $(other)) $(COMMON) $(FLOAT)
$(BIN)/test_ranks: $(call linked,$(BACKEND),$(RANKS_SRC)) $(FLOAT)
$(B)/fuzz: $(call object,float,$(FUZZ_SRC)) $(FLOAT)
$(B)/fuzz: LDFLAGS += -fsanitize=fuzzer

$(FLOAT) $(COMMON):
	$(Q)mkdir -p $(@D); rm -f $@ && ar rcs $@ $^

$(PROGRAMS) $(EXAMPLES) $(LESSONS) $(TESTS) $(BIN)/test_chosen $(BIN)/test_ranks $(B)/fuzz:
	@echo "link $@"; mkdir -p $(@D)
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# compile FOLDER WORDS FLAGS: the objects of build/FOLDER.
define compile
$(B)/$(1)/%.o: %.cpp $(B)/command
	@echo "$$<$(2)"; mkdir -p $$(@D)
	$$(Q)$$(COMPILE) $$(COMPILED) $(3) -MMD -MP -c $$< -o $$@
endef
$(eval $(call compile,float))
$(eval $(call compile,double, (double),-DBOBBIN_REAL=double))
$(eval $(call compile,cuda, (CUDA),-DBOBBIN_CUDA -I$$(CUDA_HOME)/include))
$(eval $(call compile,emulated, (emulated),$$(EMULATED)))

# What most sources include from elsewhere is up to half of what it takes to compile them. It is compiled once for the
# tests, for the library and for the programs, and an object that depends on the result begins with it. Each source
# includes by itself what it uses: this only makes it quicker. What few include, such as JSON, is not among it: its
# templates would be made in every object. With it g++ 12 warns of mistakes in optimised code that are none: so what
# has loops goes without, and the rest without these warnings. clang would note when the header was written, which
# ccache does not: it refused what another checkout had compiled. And g++ knows the headers in it by their text: with
# one that ccache had of other comments it would read them twice, so ccache is to look at these, too.
FALSE_WARNINGS = $(if $(findstring clang,$(CXX)),,-Wno-array-bounds -Wno-stringop-overflow -Wno-restrict)
COMPILED = $(patsubst %.gch,-Winvalid-pch $(FALSE_WARNINGS) -include %,$(filter %.gch,$^))
PRECOMPILED = $(B)/precompiled
$(PRECOMPILED)/%.h.gch: .make/precompiled/%.h $(B)/command
	@echo "$<"; mkdir -p $(@D)
	$(Q)CCACHE_NODIRECT=1 CCACHE_COMMENTS=1 $(COMPILE) $(if $(findstring clang,$(CXX)),-Xclang -fno-pch-timestamp) -MD -MP -x c++-header -c $< -o $@
# begin_with WHAT,SOURCES: in each build.
begin_with = $(eval $(foreach k,float double cuda emulated,$(call object,$(k),$(2))): $(PRECOMPILED)/$(1).h.gch)
# The main functions hold doctest itself, which they ask for before they include it.
$(call begin_with,tests,$(filter-out %/main.cpp,$(TEST_SRC)))
$(call begin_with,library,$(filter-out $(LOOPS),$(LIB_SRC)))
$(call begin_with,programs,$(COMMON_SRC) $(APP_SRC) $(EXAMPLE_SRC) $(LESSON_SRC))
# ccache takes part only if it is told that no test asks for the time of its compilation.
export CCACHE_SLOPPINESS ?= pch_defines,time_macros

# This file changes when the compiler or a flag does, and with it every object: they never mix.
COMMAND = $(COMPILE) $(PICTURE_CFLAGS) $(ONEDNN_CFLAGS) $(MPI_CFLAGS) $(OPT) $(TEST_OPT) $(CUDA_ARCHS) $(shell $(CXX) --version 2>/dev/null | head -n 1)
$(B)/command: FORCE
	@mkdir -p $(B); echo '$(COMMAND)' | cmp -s - $@ || echo '$(COMMAND)' > $@

$(B)/float/apps/common/run_config.o $(B)/cuda/apps/common/run_config.o: $(B)/commit
$(B)/commit: FORCE
	@mkdir -p $(B); echo '$(COMMIT)' | cmp -s - $@ || echo '$(COMMIT)' > $@

include .make/cuda.mk

-include $(wildcard $(PRECOMPILED)/*.d) $(patsubst %.o,%.d,\
  $(call object,float,$(SOURCES)) $(call object,double,$(DOUBLE_SRC) $(DOUBLE_TEST_SRC)) \
  $(call object,cuda,$(NAMES_BACKEND)))
