# The kernels for NVIDIA's GPUs, tensor/cuda/*.cu. There are three builds of them:
#   for GPUs          make CUDA=1: nvcc makes programs and tests that compute there, in build/cuda
#   for the emulator  build/test_cuda, part of make test: the compiler of everything else makes them
#                     for the processor
#   as PTX            build/ptx, part of make test where nvcc is found: the emulator interprets
#                     nvcc's code
NVCC    := $(firstword $(wildcard /usr/local/cuda/bin/nvcc) $(shell command -v nvcc 2>/dev/null))
CUDA_SRC = $(wildcard tensor/cuda/*.cu)
# Kernels to read and to measure, in a program of their own and in the tests.
LADDER   = $(wildcard tensor/cuda/ladder/*.cu) tensor/cuda/ladder/climb.cpp

# --- Tests ----------------------------------------------------------------------------------------
# Each kernel beside the processor's. The emulator has tests of its own, which run nowhere else.
EMULATOR_SRC  = $(wildcard tests/cuda/emulator/*.cpp)
EMULATOR_TEST = $(wildcard tests/cuda/emulator_test.cpp tests/cuda/ptx_test.cpp)
KERNEL_TEST   = tests/cuda/main.cpp tests/cuda/kernels_test.cpp tests/cuda/device_test.cpp
# What is built on them: the golden files, the gradient of every operation, layers, training.
ABOVE_TEST    = $(filter-out tests/nn/pretrained/% tests/optim/log/%,\
                  $(filter tests/golden/% tests/autograd/% tests/nn/% tests/optim/%,$(TEST_SRC)))
CUDA_TEST     = $(KERNEL_TEST) $(ABOVE_TEST)

# What make test runs beside the tests for the processor. A kernel's threads come in another order
# for each seed.
KERNELS_ONLY = -sf='*/kernels_test*,*/device_test*'
TOO_SLOW     = -tce='trainer: learns*,a hundred thousand*,own task*,models: what is*,teacher: logits that*'
ifeq ($(CUDA),)
  CUDA_RUNS  = "$(B)/test_cuda $(TOO_SLOW)" \
               $(foreach s,1 2 3,"CUDA_EMULATOR_SEED=$(s) $(B)/test_cuda $(KERNELS_ONLY)") \
               $(foreach t,$(PTX_TARGETS),$(call ptx_run,$(t)))
else
  CUDA_RUNS  = "$(WITH_GPU) $(BIN)/test_gpu" \
               $(if $(SANITIZER),$(foreach t,memcheck racecheck synccheck initcheck,\
                 "$(SANITIZER) --tool $(t) $(SANITIZED) $(BIN)/test_gpu $(KERNELS_ONLY) $(NOT_$(t))"))
endif
# Where there is a card, tests that see none have failed, and are not skipped.
WITH_GPU     = $(if $(shell nvidia-smi -L 2>/dev/null | grep GPU),GPU=required)
# NVIDIA's sanitizer, which looks on as a GPU computes. Some tests want errors of CUDA's functions;
# cuBLAS reads, to multiply it by 0, what nobody has written.
SANITIZER    = $(firstword $(shell command -v compute-sanitizer 2>/dev/null) \
                 $(wildcard $(addsuffix /compute-sanitizer,$(CUDA_HOME)/bin $(CUDA_HOME)/compute-sanitizer)))
SANITIZED    = --error-exitcode 99 --report-api-errors no
NOT_initcheck = -tce='*products*,*repeats its shapes*'
# The interpreter runs the kernels, and at the end the training of two whole models.
PTX_TARGETS  = 80 120
PTX_TEST     = -sf='*/kernels_test*,*/device_test*,*/*_training_test*'
ifneq ($(NVCC),)
  ptx_run    = "CUDA_EMULATOR_PTX=$(subst $(empty) ,:,$(call ptx,$(1))) $(B)/test_cuda $(PTX_TEST)"
else
  ptx_run    = "echo 'skipped: no nvcc, no PTX $(1)'; $(B)/test_cuda --count $(PTX_TEST)"
endif

# --- For the emulator -----------------------------------------------------------------------------
EMULATED_TEST = $(CUDA_TEST) tests/cuda/step_test.cpp tests/cuda/ladder_test.cpp $(EMULATOR_TEST)
FOR_EMULATOR  = $(EMULATED_TEST) $(EMULATOR_SRC) $(LIB_SRC) apps/common/products_of_step.cpp
$(call begin_with,tests,$(filter-out %/main.cpp,$(EMULATED_TEST)))
$(B)/test_cuda: $(call linked,emulated,$(FOR_EMULATOR) $(CUDA_SRC) $(LADDER))
# The kernels and the tensors alone: quicker to build where everything is built for it, with a
# sanitizer.
$(B)/test_kernels: $(call linked,emulated,$(KERNEL_TEST) $(EMULATOR_TEST) $(EMULATOR_SRC) \
                     $(filter tensor/%,$(LIB_SRC)) $(CUDA_SRC))
$(B)/test_cuda $(B)/test_kernels: LDFLAGS += -rdynamic
$(B)/test_kernels $(BIN)/ladder:
	@echo "link $@"
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# Ranks that have an emulated GPU each, and an emulated NCCL. To be made with MPI=1.
RANKS_LIB = $(filter-out %/comm/mpi_sums.cpp,$(LIB_SRC)) tensor/comm/nccl.cpp
$(B)/mpi/test_ranks_emulated: $(call linked,emulated,$(RANKS_SRC) $(EMULATOR_SRC) $(RANKS_LIB) $(CUDA_SRC))
	@echo "link $@"; mkdir -p $(@D)
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) -rdynamic -o $@ $^ $(LIBS)

EMULATED = -DBOBBIN_CUDA -Itests/cuda/emulator -Wno-unknown-pragmas
$(B)/emulated/%.o: %.cu $(B)/command
	@echo "$< (emulated)"; mkdir -p $(@D)
	$(Q)$(COMPILE) $(EMULATED) -x c++ -MMD -MP -c $< -o $@

# --- By nvcc --------------------------------------------------------------------------------------
# For every GPU from Ampere on that this nvcc knows, and as PTX for those to come. A kernel whose
# registers do not suffice is an error.
CUDA_HOME   = $(patsubst %/bin/nvcc,%,$(realpath $(NVCC)))
CUDA_ARCHS ?= $(filter sm_8% sm_9% sm_1%,$(shell $(NVCC) --list-gpu-code))
NVCC_FLAGS  = -std=c++20 -O3 --expt-relaxed-constexpr -ccbin $(CXX) -I. -Werror all-warnings \
              -Xptxas -warn-spills
GENCODE     = -gencode 'arch=compute_80,code=[$(subst $(empty) ,$(comma),$(CUDA_ARCHS) compute_80)]'

# With MPI=1 NCCL sums gradients from GPU to GPU. NCCL_HOME says where it is, if the compiler does not find it.
NCCL_HOME  ?=
NCCL_HEADER = $(if $(NCCL_HOME),$(wildcard $(NCCL_HOME)/include/nccl.h),$\
                $(call header,nccl.h)$(wildcard $(CUDA_HOME)/include/nccl.h))
NCCL_CFLAGS = $(if $(NCCL_HOME),-I$(NCCL_HOME)/include)
NCCL_LIBS   = $(if $(NCCL_HOME),-L$(NCCL_HOME)/lib -Wl$(comma)-rpath$(comma)$(NCCL_HOME)/lib) -l:libnccl.so.2

ifneq ($(CUDA),)
  ifneq ($(MPI),)
    ifeq ($(NCCL_HEADER),)
      $(error MPI=1 with CUDA=1 needs NCCL, whose nccl.h is not there: apt-get install libnccl-dev (non-free), or \
NCCL_HOME=FOLDER that has include and lib)
    endif
    LIBS += $(NCCL_LIBS)
  endif
  ifeq ($(NVCC),)
    $(error CUDA=1 needs nvcc, of CUDA 12 or later, in /usr/local/cuda/bin or in the PATH)
  endif
  LIBS += -L$(CUDA_HOME)/lib64 -Wl,-rpath,$(CUDA_HOME)/lib64 -lcudart -lcublas -lcublasLt
$(FLOAT): $(call object,cuda,$(CUDA_SRC))
programs: $(BIN)/ladder
endif
$(BIN)/ladder: $(call object,cuda,$(LADDER) tensor/cuda/ladder/main.cpp) $(FLOAT)
$(BIN)/test_gpu: $(call linked,cuda,$(CUDA_TEST)) $(FLOAT)
$(B)/cuda/%.o: %.cu $(B)/command
	@echo "$< (nvcc)"; mkdir -p $(@D)
	$(Q)$(NVCC) $(NVCC_FLAGS) $(GENCODE) -MMD -MP -c $< -o $@

# The PTX of two generations, in whose place the emulator steps.
ptx = $(patsubst tensor/cuda/%.cu,$(B)/ptx/$(1)/%.ptx,$(CUDA_SRC))
define ptx_rule
$(B)/ptx/$(1)/%.ptx: tensor/cuda/%.cu $(B)/command
	@echo "$$< (PTX $(1))"; mkdir -p $$(@D)
	$$(Q)$(NVCC) $(NVCC_FLAGS) -arch=compute_$(1) -MD -ptx $$< -o $$@
endef
$(foreach t,$(PTX_TARGETS),$(eval $(call ptx_rule,$(t))))
tests: $(if $(CUDA),,$(if $(NVCC),$(foreach t,$(PTX_TARGETS),$(call ptx,$(t)))))

# --- With sanitizers ------------------------------------------------------------------------------
# The kernels on the emulator: AddressSanitizer sees each byte beyond an array, also of shared
# memory, and clang's ThreadSanitizer every two threads of a block that no barrier keeps apart.
.PHONY: check-cuda check-cuda-plants kernels-asan kernels-tsan $(PTX_TARGETS:%=ptx-%)
CLANG := $(shell command -v clang++ 2>/dev/null)
ASAN_RUNS = build/asan/test_kernels "CUDA_EMULATOR_SEED=1 build/asan/test_kernels"
# The runtime of OpenMP knows nothing of the sanitizer; one thread does not need it. It takes longest of all: so
# two processes share the tests, by half of the time each. Moves of every width, which one thread makes, would take
# another twenty seconds.
TSAN_TEST = OMP_NUM_THREADS=1 TSAN_OPTIONS=ignore_noninstrumented_modules=1 build/tsan/test_kernels
TSAN_HALF = 'cuda: b*,cuda: l*,cuda: sums*'
TSAN_RUNS = "$(TSAN_TEST) -tc=$(TSAN_HALF)" "$(TSAN_TEST) -tce=$(TSAN_HALF),'ptx: numbers that are moved*'"
check-cuda: deps
	@$(if $(CLANG),,echo 'skipped: ThreadSanitizer needs clang++')
	@$(BUILD) kernels-asan $(if $(CLANG),kernels-tsan)
	@sh tests/run.sh $(if $(CLANG),$(TSAN_RUNS)) $(ASAN_RUNS)
kernels-asan:
	@$(BUILD) build/asan/test_kernels B=build/asan OPT=-O1 SANITIZE='$(ASAN)'
kernels-tsan:
	@$(BUILD) build/tsan/test_kernels B=build/tsan OPT=-O1 CXX=clang++ SANITIZE='$(LINE_NUMBERS) -fsanitize=thread'

# What all these notice, shown by mistakes that are planted in a copy of the kernels.
$(foreach t,$(PTX_TARGETS),$(eval ptx-$(t): $(call ptx,$(t)) ; @:))
check-cuda-plants: deps
	@sh tests/cuda/plants/run.sh

-include $(patsubst %.o,%.d,$(call object,emulated,$(CUDA_SRC) $(LADDER) $(FOR_EMULATOR) $(RANKS_SRC) tensor/comm/nccl.cpp) \
           $(call object,cuda,tensor/comm/nccl.cpp $(CUDA_SRC) $(LADDER) tensor/cuda/ladder/main.cpp $(KERNEL_TEST))) \
         $(foreach t,$(PTX_TARGETS),$(patsubst %.ptx,%.d,$(call ptx,$(t))))
