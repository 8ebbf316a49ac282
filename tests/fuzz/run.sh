#!/bin/sh
# run.sh FUZZ_PROGRAM SECONDS [TARGET...]: fuzzes each target for so long, and stops at the first finding, whose input it
# leaves in build/fuzz/finding-*. What libFuzzer learns stays in build/fuzz/corpus, for the next time.
program=$1 seconds=$2
shift 2
[ $# -gt 0 ] || set -- $(ls tests/fuzz/corpus)

work=$(dirname "$program")
memory=/dev/shm  # files that no disk has to keep
[ -w $memory ] || memory=${TMPDIR:-/tmp}
TMPDIR=$(mktemp -d "$memory/bobbin-fuzz-XXXXXX") || exit 1
export TMPDIR OMP_WAIT_POLICY=passive
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 1' INT TERM

for target; do
  mkdir -p "$work/corpus/$target"
  if ! FUZZ_TARGET=$target "$program" -max_total_time="$seconds" -max_len=8192 -timeout=10 -dict=tests/fuzz/words.dict \
    -print_final_stats=1 -artifact_prefix="$work/finding-" "$work/corpus/$target" "tests/fuzz/corpus/$target" \
    > "$work/$target.log" 2>&1; then
    tail -n 60 "$work/$target.log"
    echo "$target: failed; the input is in $work/finding-*"
    exit 1
  fi
  inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$target.log")
  edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$work/$target.log" | tail -n 1)
  echo "$target: $inputs inputs in $seconds s, $edges edges reached, nothing found"
done
