#!/bin/sh
# run.sh COMMAND...: runs doctest programs, as many at a time as there are cores (or JOBS), and adds up
# their counts. The last line is "N passed, M failed"; before it comes "K skipped", if a program or a
# test case cannot run here. A command may begin with settings: "SEED=1 build/test".

# Threads that wait give their core away: on a busy machine spinning makes everything several times
# slower.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"

passed=0
failed=0
skipped=0
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

number=0
for command; do
  number=$((number + 1))
  echo "$command" > "$folder/$number"
done
# xargs starts them: what a shell starts in the background does not hear Ctrl-C.
seq "$number" | xargs -P "${JOBS:-$(nproc 2>/dev/null || echo 2)}" -I{} sh -c '
  begin=$(date +%s)
  sh "$1" > "$1.log" 2>&1
  echo $? > "$1.status"
  echo "== $(cat "$1"), $(($(date +%s) - begin)) s"
  cat "$1.log"' run "$folder/{}"

number=0
for command; do
  number=$((number + 1))
  log=$folder/$number.log
  status=$(cat "$folder/$number.status")

  # [doctest] unskipped test cases passing the current filters: 3
  if grep -q '^skipped: ' "$log"; then
    s=$(sed -n 's/^\[doctest\] unskipped test cases.*: *\([0-9]*\)$/\1/p' "$log")
    skipped=$((skipped + ${s:-0}))
    [ -n "$s" ] && [ "$status" = 0 ] && continue
  fi
  # A test case that says so of itself is skipped, too.
  s=$(grep -c '^skipped a test case: ' "$log")
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
  skipped=$((skipped + s))
  passed=$((passed + ${p:-0} - s))
  failed=$((failed + f))
done

[ "$skipped" = 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$((passed + skipped))" != 0 ]
