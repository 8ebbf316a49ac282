#!/bin/sh
# lines.sh: how long is the code that trains the Vision Transformer? The linker says which of the library's object files
# build/train_vit is made of, the compiler which headers these include. Run it where the Makefile is, after make.
set -e
map=$(mktemp)
trap 'rm -f "$map"' EXIT
rm -f build/train_vit
make -s build/train_vit LDFLAGS="-Wl,-Map=$map" > /dev/null
for name in $(grep -o 'libbobbin.a([a-z_0-9]*\.o)' "$map" | sort -u | sed 's/.*(//; s/\.o)//'); do
  (cd build/float && find tensor autograd nn data optim -name "$name.d" -printf "build/float/%p\n")
done | xargs cat build/float/apps/train_vit.d | tr ' :\\' '\n\n\n' | grep -E '^[a-z]+/.*\.(h|cpp)$' | sort -u |
  while read -r file; do echo "${file%%/*} $(wc -l < "$file") $(grep -vcE '^ *(//.*)?$' "$file")"; done |
  awk '{ files[$1]++; lines[$1] += $2; code[$1] += $3 }
       END { for (f in lines) printf "%-9s %3d files  %5d lines  %5d without comments\n", f, files[f], lines[f], code[f] }' |
  sort
