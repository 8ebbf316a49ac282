#!/bin/sh
# T=WORDS find_tests.sh FILE...: says of each test file, in one word, what T means of it:
#   whole:FILE   all of it: T is in the path
#   part:FILE    the test cases that have T in their names
#   other:FILE   it has no test cases, but the others may need it: the main function
# As for doctest, * stands for anything, ? for one character, a comma is "or", and small and capital
# letters are the same.
exec awk '
  function say() {
    if (!cases) print "other:" file
    else if (tolower(file) ~ words) print "whole:" file
    else if (found) print "part:" file
  }
  BEGIN {
    words = tolower(ENVIRON["T"])
    gsub(/[][\\.+^$(){}|]/, "\\\\&", words)
    gsub(/[*]/, ".*", words); gsub(/[?]/, ".", words); gsub(/,/, "|", words)
  }
  FNR == 1 { if (file) say(); file = FILENAME; cases = found = 0 }
  /^ *TEST_CASE/ {
    text = $0
    while (text !~ /"/ && (getline line) > 0) text = text line  # a long name is on the next line
    match(text, /"(\\.|[^"\\])*"/)
    name = tolower(substr(text, RSTART + 1, RLENGTH - 2))
    gsub(/\\"/, "\"", name)
    cases++
    if (name ~ words) found++
  }
  END { say() }' "$@"
