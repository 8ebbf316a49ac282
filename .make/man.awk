# PROGRAM --help | awk -v name=bobbin-PROGRAM -v version=VERSION -v date=DATE -f man.awk: a page for man, of what the program says of
# itself. A program whose help is text alone may have examples in it, indented.

function escaped(text) {
  gsub(/\\/, "\\e", text)
  gsub(/-/, "\\-", text)
  sub(/^[.']/, "\\\\\\&&", text)
  return text
}
function say(text) { print escaped(text) }

# "-b,--batch-size INT=128": names bold, what they take as it is; a line may break between choices.
function tag(text,    names, rest) {
  names = text
  sub(/ .*/, "", names)
  rest = substr(text, length(names) + 1)
  if (names ~ /threads$/) sub(/=[0-9]+/, "", rest)  # as many as there are cores here
  names = escaped(names)
  gsub(/,/, "\\fR, \\fB", names)
  rest = escaped(rest)
  gsub(/,/, ",\\:", rest)
  print ".TP"
  print "\\fB" names "\\fR" rest
}

NR == 1 {
  program = substr(name, index(name, "-") + 1)
  summary = tolower(substr($0, 1, 1)) substr($0, 2)
  sub(/( \(|[.:,]( |$)).*/, "", summary)
  print ".TH " toupper(escaped(name)) " 1 " date " \"Bobbin " version "\" \"User Commands\""
  print ".ad l\n.nh"
  print ".SH NAME"
  print escaped(name) " \\- " escaped(summary)
  about = $0
  next
}
!begun {
  begun = 1
  synopsis = $1 == "Usage:" ? substr($0, index($0, program) + length(program)) : " [OPTIONS]"
  print ".SH SYNOPSIS"
  print "\\fB" escaped(name) "\\fR" escaped(synopsis)
  print ".SH DESCRIPTION"
  say(about)
  flags = $1 == "Usage:"
  if (flags) next
}
/^$/ { blank = 1; next }
!flags && /^  / {
  sub(/^  (build\/)?/, "")
  print ".PP\n.RS"
  print escaped($0 ~ "^" program ? "bobbin-" $0 : $0) "\n.RE"
  blank = 1
  next
}
!flags { if (blank) print ".PP"; blank = 0; say($0); next }
/^Positionals:$/ { print ".SH ARGUMENTS"; next }
/^Options:$/ { print ".SH OPTIONS"; next }
/^[^ ]/ { sub(/:$/, ""); print ".SS \"" escaped($0) "\""; next }
/^  [^ ]/ {
  text = substr($0, 3)
  at = match(text, /  +/) ? RSTART : length(substr($0, 3)) > 27 && substr($0, 30, 1) == " " ? 28 : 0
  if (at) {
    tag(substr(text, 1, at - 1))
    text = substr(text, at)
    sub(/^ +/, "", text)
    say(text)
  }
  else tag(text)
  next
}
{ sub(/^ +/, ""); say($0) }

END {
  print ".SH EXIT STATUS"
  print "0, or 1 after an error, or 2 after a mistake on the command line; one sentence on standard error says which."
  print ".SH SEE ALSO"
  count = split("attention bench classify convert evaluate knn plot sweep train", others)
  for (i = 1; i <= count; ++i)
    if (others[i] != program) list = list (list ? " ,\n" : "") ".BR bobbin\\-" others[i] " (1)"
  gsub(/ ,\n/, ",\n", list)
  print list
}
