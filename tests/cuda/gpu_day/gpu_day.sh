#!/bin/bash
# gpu_day.sh [STAGE...]: on a machine with a GPU, from anywhere in the repository, all that wants one, in nine minutes:
#   tests     the tests, and the kernels under compute-sanitizer's four tools, all at once
#   bits      two runs leave the same bits
#   peers     d2l's model beside PyTorch, a few steps of each in turn; vit-b and resnet: ViT-B/16 and ResNet-18 likewise
#   presets   d2l's ten epochs, whole programs, in each precision
#   ladder    the ladders of tensor/cuda/ladder: a copy, a product and attention, by better and better kernels
#   kernels   every kernel of a training step, under Nsight Compute
# and by name alone: autotune, peers with torch.compile choosing kernels by measuring, which takes minutes.
# The programs are those that pack.sh has packed, or else those of build/cuda. Results are in $OUT (/tmp/gpu_day):
# summary.md, a table of each run's epochs, and the rest in logs.tar.gz. Without a GPU the tests run on the emulator, if
# it is built (make build/test_cuda build/bench build/train), and what cannot be done is said.
# Ends with 0 if nothing was found wrong, and with 1 otherwise.
cd "$(dirname "$0")/../../.." || exit 1
here=tests/cuda/gpu_day
stages=${*:-tests bits ladder peers presets kernels resnet vit-b}
most=${MOST_SECONDS:-535}  # of the whole day
O=${OUT:-/tmp/gpu_day} L=$(mktemp -d)
mkdir -p "$O" "$L/logs"
logs=$L/logs wrong=0
: > "$O/summary.md"
export OMP_WAIT_POLICY=passive PYTHONUNBUFFERED=1
for folder in /usr/local/cuda/bin /usr/local/cuda/compute-sanitizer /opt/nvidia/nsight-compute/*; do PATH=$PATH:$folder; done

finish() {
  tar -C "$L" -czf "$O/logs.tar.gz" logs
  rm -rf "$L"
}
trap finish EXIT
say() { printf '\n## %s (%ss)\n\n' "$*" $SECONDS | tee -a "$O/summary.md"; }
put() { sed 's/^/    /' | tee -a "$O/summary.md"; }
not_done() { echo "not done: $*" | put; }
fault() {
  echo "WRONG: $*" | put
  wrong=1
}
have() { command -v "$1" > /dev/null; }
# Runs a command for at most so many seconds, or those that are left of the day.
within() {
  local left=$((most - SECONDS)) seconds=$1
  shift
  [ $left -gt 2 ] || { echo "no time was left for it"; return 124; }
  timeout -k 5 $((seconds < left ? seconds : left)) "$@"
}

# --- Where we are -------------------------------------------------------------------------------------------
say machine
python_libraries=${LD_LIBRARY_PATH-}  # PyTorch finds its own by itself
card=$(nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.max.sm,power.limit --format=csv,noheader 2> /dev/null) || card=
if [ -e .gpu/programs.tar.xz ]; then
  tar -C "$L" -xJf .gpu/programs.tar.xz
  bin=$L/bin
  LD_LIBRARY_PATH=$L/lib
  for library in libcublas libcudart; do  # PyTorch's own only where CUDA's are not
    folder=$(find /usr/local/cuda/lib64/ /usr/local/cuda/targets/ /opt/torch/ -name "$library.so.1[0-9]" -printf '%h' -quit 2> /dev/null)
    LD_LIBRARY_PATH=$LD_LIBRARY_PATH${folder:+:$folder}
  done
  export LD_LIBRARY_PATH
else
  bin=build/cuda
fi
data=()
[ -d .gpu/data ] && data=(--data-dir .gpu/data)
if [ -n "$card" ]; then
  echo "$card" | put
  test=$bin/test_gpu
  ldd $bin/test_gpu | grep -E 'not found|cublas|cudart' | put
else
  echo 'no GPU: what can be done on the emulator and the processor is, and its times mean nothing' | put
  test=build/test_cuda bin=build
fi
for program in "$test" $bin/bench $bin/train; do [ -x "$program" ] || not_done "what needs $program, which is not there"; done

# --- Right? All at once: none of this is timed --------------------------------------------------------------
stage_tests() {
  local kernels='-sf=*/kernels_test*,*/device_test*' tool OMP_NUM_THREADS=$(($(nproc) / 5 + 1))
  export OMP_NUM_THREADS  # for five programs at once
  if [ -z "$card" ]; then
    within 150 "$test" "$kernels" > "$logs/test.log" 2>&1
    echo "exit $?" >> "$logs/test.log"
    not_done 'compute-sanitizer: no GPU'
  else
    { GPU=required within 170 "$test" > "$logs/test.log" 2>&1; echo "exit $?" >> "$logs/test.log"; } &
    for tool in memcheck racecheck synccheck initcheck; do
      have compute-sanitizer || { not_done "$tool: no compute-sanitizer"; continue; }
      # cuBLAS reads what it multiplies by 0, and its kernels take minutes under racecheck. A test that asks for too much
      # memory wants the error.
      case $tool in
        initcheck) without='-tce=*products*,*repeats its shapes*' ;;
        racecheck) without='-tce=*products*' ;;
        *) without=-tce=none ;;
      esac
      { within 170 compute-sanitizer --tool $tool --report-api-errors no --error-exitcode 99 --print-limit 20 \
          "$test" "$kernels" "$without" > "$logs/$tool.log" 2>&1; echo "exit $?" >> "$logs/$tool.log"; } &
    done
    wait
  fi
  for log in "$logs"/{test,memcheck,racecheck,synccheck,initcheck}.log; do
    [ -e "$log" ] || continue
    tool=$(basename "$log" .log)
    echo "$tool: $(grep -a 'test cases:' "$log" | tail -n 1) $(grep -aE '(ERROR|RACECHECK) SUMMARY' "$log" | tail -n 1) $(tail -n 1 "$log")" | put
    grep -aq '^skipped: ' "$log" && fault "$tool: every test was skipped"
    [ "$(tail -n 1 "$log")" = 'exit 0' ] || fault "$tool ended with $(tail -n 1 "$log"): 99 is the sanitizer's, 1 a test's, 124 no time"
    grep -aE -A8 'ERROR:|TEST CASE' "$log" | head -n 40 | put
    # In which kernels the sanitizer saw something.
    grep -aoE '^=+ +(at|in) .*' "$log" | sed -E 's/\+0x.*//' | sort | uniq -c | sort -rn | head -n 10 | put
  done
}

# --- The same bits twice ------------------------------------------------------------------------------------
stage_bits() {
  local precision i steps=60 flags=(--preset d2l)
  [ -n "$card" ] || steps=8 flags=(--preset quick)
  for precision in float32 tf32 bfloat16; do
    [ -n "$card" ] || [ $precision != tf32 ] || { not_done 'tf32: no GPU'; continue; }
    for i in 1 2; do
      within 40 $bin/train "${flags[@]}" "${data[@]}" --precision $precision --max-steps $steps \
        --output-dir "$L/$precision$i" > "$logs/bits-$precision$i.log" 2>&1 || tail -n 2 "$logs/bits-$precision$i.log" | put
    done
    if cmp "$L/$precision"{1,2}/losses.csv 2>&1 | put && cmp "$L/$precision"{1,2}/model.safetensors 2>&1 | put &&
        cmp -s "$L/$precision"{1,2}/losses.csv && cmp -s "$L/$precision"{1,2}/model.safetensors; then
      echo "$precision: the same losses and weights after $steps steps" | put
    else
      fault "$precision: two runs of $steps steps differ, or one did not end"
    fi
  done
}

# --- The ladders --------------------------------------------------------------------------------------------
stage_ladder() {
  [ -n "$card" ] || { not_done 'ladder: no GPU'; return; }
  within 40 $bin/ladder 2>&1 | put
  [ "${PIPESTATUS[0]}" = 0 ] || fault 'a rung of the ladder is wrong, or it took too long'
}

# --- Beside PyTorch -----------------------------------------------------------------------------------------
beside_pytorch() {  # SECONDS MODEL FLAG...
  local seconds=$1 model=$2 small=()
  shift 2
  python3 -c 'import torch' 2> /dev/null || { not_done 'python3 has no PyTorch'; return; }
  [ -n "$card" ] || small=(--eager --precision float32 bfloat16 --batch-size 1 --rounds 1 --steps 1)
  within "$seconds" env LD_LIBRARY_PATH="$python_libraries" python3 $here/peers.py \
    --bench "env LD_LIBRARY_PATH=${LD_LIBRARY_PATH-} $bin/bench" --model "$model" "$@" "${small[@]}" \
    2> "$logs/peers-$model.log" | put
  [ "${PIPESTATUS[0]}" = 0 ] || not_done "all of it in $seconds seconds: $(grep -a . "$logs/peers-$model.log" | tail -n 1)"
}
stage_peers() { beside_pytorch 150 d2l; }
stage_vit-b() { beside_pytorch 170 vit-b; }
stage_resnet() { beside_pytorch 110 resnet18; }
stage_autotune() { beside_pytorch 480 d2l --autotune; }

# --- The chapter's training, whole: 123.6 s there -----------------------------------------------------------
stage_presets() {
  local precision
  [ -n "$card" ] || { not_done 'ten epochs: no GPU'; return; }
  for precision in float32 tf32 bfloat16; do
    echo "$precision" | put
    { time within 60 $bin/train --preset d2l "${data[@]}" --precision $precision --output-dir "$L/d2l-$precision" 2>&1; } \
      > "$logs/d2l-$precision.log" 2>&1
    sed -n '/^train: /p; /^epoch/,$p' "$logs/d2l-$precision.log" | put
    cp "$L/d2l-$precision/metrics.csv" "$O/d2l-$precision.csv" || fault "d2l in $precision left no metrics.csv"
    cp "$L/d2l-$precision/losses.csv" "$logs/d2l-$precision-losses.csv"
  done
}

# --- Every kernel of a step ---------------------------------------------------------------------------------
stage_kernels() {
  local name flags
  [ -n "$card" ] || { not_done 'kernels: no GPU'; return; }
  have ncu || { not_done 'kernels: no ncu'; return; }
  while read -r name flags; do
    echo "a training step, $name" | put
    echo 'train 2' | within 60 ncu --clock-control none --csv --log-file "$logs/ncu-$name.csv" --metrics \
gpu__time_duration.sum,dram__bytes.sum,lts__t_bytes.sum,sm__inst_executed.avg.per_cycle_active,\
sm__warps_active.avg.pct_of_peak_sustained_active,launch__registers_per_thread \
      $bin/bench --lockstep $flags > "$logs/ncu-$name.log" 2>&1
    python3 $here/kernels.py "$logs/ncu-$name.csv" 2>&1 | put
  done << ROWS
float32 -b 128 --whole-last-block
tf32 -b 128 --whole-last-block --precision tf32
bfloat16 -b 128 --whole-last-block --precision bfloat16
vit-b-bfloat16 -b 64 $(python3 $here/peers.py --flags vit-b) --precision bfloat16
resnet18 -b 128 --model resnet18
resnet18-bfloat16 -b 128 --model resnet18 --precision bfloat16
ROWS
}

for stage in $stages; do
  say "$stage"
  if declare -F "stage_$stage" > /dev/null; then "stage_$stage"; else fault "there is no stage $stage"; fi
done
say end
[ $wrong = 0 ] && echo 'nothing was found wrong' | put
exit $wrong
