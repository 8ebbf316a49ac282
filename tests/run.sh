#!/bin/sh
# run.sh COMMAND...: runs doctest programs and adds up their counts. The last line is "N passed, M
# failed"; before it comes "K skipped", if a program cannot run here. A command may begin with
# settings: "SEED=1 build/test".

# Threads that wait give their core away: on a busy machine spinning makes everything several times
# slower.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"

passed=0
failed=0
skipped=0
log=$(mktemp) || exit 1
trap 'rm -f "$log" "$log.status"' EXIT

for command; do
  echo "== $command"
  echo 1 > "$log.status"
  { sh -c "$command" 2>&1; echo $? > "$log.status"; } | tee "$log"
  status=$(cat "$log.status")

  # [doctest] unskipped test cases passing the current filters: 3
  if grep -q '^skipped: ' "$log"; then
    s=$(sed -n 's/^\[doctest\] unskipped test cases.*: *\([0-9]*\)$/\1/p' "$log")
    skipped=$((skipped + ${s:-0}))
    [ -n "$s" ] && continue
  fi
  # [doctest] test cases:  3 |  2 passed | 1 failed | 0 skipped
  counts=$(grep '^\[doctest\] test cases:' "$log" | tail -n 1 |
    sed -n 's/.*| *\([0-9]*\) passed *| *\([0-9]*\) failed.*/\1 \2/p')
  p=${counts% *}
  f=${counts#* }
  # A program that crashed, or said nothing, or failed after its tests (a leak), is a failure of its
  # own.
  if [ -z "$counts" ] || { [ "$status" != 0 ] && [ "$f" = 0 ]; }; then
    echo "$command ended with status $status, though ${p:-no} test cases passed"
    f=$((${f:-0} + 1))
  fi
  passed=$((passed + ${p:-0}))
  failed=$((failed + f))
done

[ "$skipped" = 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$((passed + skipped))" != 0 ]
