#!/bin/sh
# run.sh [WORD]: how much do the tests of the CUDA kernels notice? Plants the mistakes of faults.sh (those that have WORD
# in their name) into a copy of the sources, one after the other, and prints a table of which check found what. Fails if
# no check finds one, or if a check finds something in the sources as they are.
#
# The copy, in build/plants, stays for the next time.
set -u
cd "$(dirname "$0")/../../.." || exit 1
sources=$PWD
copy=$PWD/build/plants
wanted=${1-}
mkdir -p "$copy" && cd "$copy" || exit 1
export OMP_WAIT_POLICY=passive AUTO_DEPS=0

# --- the copy ---------------------------------------------------------------------------------------------

# Gives files of the copy back what the sources hold. Those that hold it already keep their time, so that make leaves
# them alone.
restore() {
  for file; do
    cmp -s "$sources/$file" "$file" && continue
    mkdir -p "$(dirname "$file")" && cp "$sources/$file" "$file" || exit 1
  done
}

# replace FILE OLD NEW
replace() {
  OLD=$2 NEW=$3 awk '
    { text = text $0 "\n" }
    END {
      old = ENVIRON["OLD"]
      at = index(text, old)
      if (!at || index(substr(text, at + length(old)), old)) exit 1
      printf "%s%s%s", substr(text, 1, at - 1), ENVIRON["NEW"], substr(text, at + length(old))
    }' "$1" > planted || { echo "$1 does not hold once, but never or more often: $2" >&2; return 1; }
  cp planted "$1"
}

# --- the checks -------------------------------------------------------------------------------------------
# Each leaves in the file said.CHECK the first words of what it found, or nothing.
checks='emulator orders'
[ -x /usr/local/cuda/bin/nvcc ] || command -v nvcc > /dev/null && checks="$checks PTX"
checks="$checks ASan"
command -v clang++ > /dev/null && checks="$checks TSan"

check() {
  : > said."$1"
  case $1 in
    emulator) build build/test_kernels && run build/test_kernels ;;
    orders) in_order 1 && in_order 2 && in_order 3 ;;
    PTX) build ptx-80 && run CUDA_EMULATOR_PTX="$(echo build/ptx/80/*.ptx | tr ' ' :)" build/test_kernels ;;
    ASan) build kernels-asan && run build/asan/test_kernels ;;
    TSan)
      build kernels-tsan &&
        run OMP_NUM_THREADS=1 TSAN_OPTIONS='ignore_noninstrumented_modules=1 halt_on_error=1' build/tsan/test_kernels
      ;;
  esac > log."$1" 2>&1 || first_words log."$1" > said."$1"
}

build() { make "$@" || { echo 'does not compile'; return 1; }; }
in_order() { run CUDA_EMULATOR_SEED="$1" build/test_kernels; }
run() { timeout 300 env "$@" -sf='*/kernels_test*,*/device_test*' -tc="$tests" -aa=1; }

first_words() {
  awk '
    /^does not compile/ { print; found = 1; exit }
    /CUDA emulator: /   { sub(/.*CUDA emulator: /, ""); gsub(/ \(.*|\.$| at 0x[0-9a-f]*/, ""); print; found = 1; exit }
    /runtime error: /   { sub(/.*runtime error: /, "UBSan: "); print; found = 1; exit }
    /Sanitizer: /       { sub(/.*(ERROR|WARNING): /, ""); sub(/ on .*| \(pid.*/, ""); print; found = 1; exit }
    /^TEST CASE: /      { sub(/^TEST CASE: *cuda: /, ""); test = $0 }
    /ERROR: /           { print "wrong numbers: " test; found = 1; exit }
    END { if (!found) print "ended without a word" }' "$1"
}

# All of them, two at a time.
check_all() {
  tests=$(echo "$1" | sed 's/[^,][^,]*/cuda: &/g')
  (for c in emulator orders PTX; do case " $checks " in *" $c "*) check $c ;; esac; done) &
  (for c in ASan TSan; do case " $checks " in *" $c "*) check $c ;; esac; done)
  wait
}

# A row of the table, and whether any check said something.
row() {
  marks='' words=''
  for c in $checks; do
    if [ -s said."$c" ]; then
      marks="$marks x |"
      [ -n "$words" ] || words=$(sed 's/^\(.\{48\}[^ ,]*\)[ ,].*/\1 .../' said."$c")
    else
      marks="$marks - |"
    fi
  done
  echo "| $1 |$marks ${words:-nothing} |"
  [ -n "$words" ]
}

# --- planting ---------------------------------------------------------------------------------------------
missed=0 planted=0
plant() {
  what=$1 file=tensor/cuda/$2 names=$3
  case $what in *"$wanted"*) ;; *) return ;; esac
  shift 3
  while [ $# -gt 0 ]; do
    replace "$file" "$1" "$2" || exit 1
    shift 2
  done
  check_all "$names"
  row "$what" || missed=$((missed + 1))
  planted=$((planted + 1))
  if grep -l 'does not compile' said.*; then exit 1; fi
  restore "$file"
}

restore $(cd "$sources" && find Makefile .make tensor autograd nn data optim tests -type f)
echo "| planted | $(echo "$checks" | sed 's/ / | /g') | what was said first |"
echo "|---|$(echo "$checks" | sed 's/[A-Za-z]*/---/g; s/ /|/g')|---|"
check_all '*'
if row 'nothing'; then exit 1; fi
. "$sources/tests/cuda/plants/faults.sh"
echo "$planted mistakes, $missed of them not noticed" >&2
[ "$missed" = 0 ]
