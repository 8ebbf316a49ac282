# Tells doxygen what comments mean here; a line stays a line. A comment before or behind a declaration documents all
# names in it, and before it also the declarations that follow without a blank line. That of a type is that of its
# constructors and operators too, and members of data that have none are left to it. What visit() and fields() do is the
# same everywhere.

# What a line of code comes to: no strings, no characters, no comment.
function bare(line) {
  gsub(/\\./, "", line)
  gsub(/"[^"]*"/, "0", line)
  gsub(/'[^']*'/, "0", line)
  sub(/\/\/.*/, "", line)
  return line
}

# What a brace opens, by the words before it: a place for declarations, or code.
function declares(words) {
  while (gsub(/<[^<>]*>/, "", words)) {}
  return words ~ /(^|[ \t])namespace/ || (words ~ /(^|[ \t])(struct|class|union|enum)[ \t]/ && words !~ /[()=]/)
}

# "Shape" of "class Shape final : ...".
function type_of(words) {
  while (gsub(/<[^<>]*>/, "", words)) {}
  if (!match(words, /(struct|class|union)[ \t]+[A-Za-z_0-9]+/)) return ""
  words = substr(words, RSTART, RLENGTH)
  sub(/.*[ \t]/, "", words)
  return words
}

# Whether it declares a function: a parenthesis that is none of a type's or a first value's.
function calls(words) {
  if (words ~ /operator/) return 1
  while (gsub(/<[^<>]*>/, "", words)) {}
  gsub(/(=|{)[^,;]*/, "", words)
  return words ~ /\(/
}

# The documentation of a declaration that has none of its own.
function shared(line) {
  if (line ~ /^ *(friend|static_assert|explicit operator|using [A-Za-z:]+;)/) return ""
  if (line ~ /[ :]visit\(/) return "Names the members that are state: see nn/module.h."
  if (line ~ /[ :]fields\(/) return "Names each option once: see data/files/fields.h."
  if (type[depth] != "" && (line ~ /(^| )operator/ || line ~ ("(^|[ ~])" type[depth] "\\("))) return about[depth]
  if (doc == "" && type[depth] != "" && !calls(line) && line !~ /^ *(using|struct|class|enum|template) /) return "See " type[depth] "."
  return doc
}

# Of "Index rows, columns;  ///< ..." two declarations, as doxygen gives the comment to one name alone.
function one_each(line,    words, all, i, c, deep, kind, parts, n) {
  words = commented ? doc : ""
  if (match(line, /^\/\*\*.*\*\/ /)) {
    words = substr(line, 4, RLENGTH - 6)
    line = substr(line, RLENGTH + 1)
  } else if (match(line, /  *\/\/\/< /)) {
    words = substr(line, RSTART + RLENGTH)
    line = substr(line, 1, RSTART - 1)
  }
  sub(/; *$/, "", line)
  n = 1
  for (i = 1; i <= length(line); ++i) {
    c = substr(line, i, 1)
    deep += (c ~ /[<{[(]/) - (c ~ /[]>})]/)
    if (c == "," && !deep) ++n
    else parts[n] = parts[n] c
  }
  kind = parts[1]
  sub(/ *([={[].*)?$/, "", kind)
  sub(/[*&]*[A-Za-z_0-9]+$/, "", kind)
  for (i = 1; i <= n; ++i) all = all (i > 1 || !commented ? " /** " words " */ " : "") (i > 1 ? kind : "") parts[i] ";"
  return all
}

{
  code = bare($0)
  text = $0
  if (!in_code && $0 ~ /^ *\/\/( |$|\/ |\/$)/ && $0 !~ /^ *\/\/ ---/) {  # a comment
    sub(/^ *\/\/\/?/, "", text)
    if (!commented) { doc = ""; whole = 0 }
    if (text ~ /^ *$/ || text ~ /^     /) whole = 1
    if (!whole) doc = doc text
    commented = 1
    if ($0 ~ /^ *\/\/ /) sub(/\/\//, "///")
    print
    next
  }
  if ($0 ~ /^ *$/) doc = ""
  else if (!in_code && words == "" && code !~ /^ *(#|}|public:|private:|protected:|namespace |using namespace)/ &&
           code !~ /^ *$/) {
    own = commented || $0 ~ /[;,}] *\/\//
    if (!own && (s = shared(code)) != "") { $0 = "/**" s " */ " $0 }
  }
  if (!in_code && match($0, /[;,}] *\/\/ /) && $0 !~ /\/\/ namespace/) sub(/  *\/\/ /, "  ///< ")
  if (!in_code && words == "" && code ~ /,.*; *$/ && !calls(code) && code !~ /^ *(using|friend|template) /) $0 = one_each($0)
  if (special) $0 = $0 " /** @endcond */"
  special = $0 == "template <>"  # the name has its documentation elsewhere
  print (special ? "/** @cond */ " : "") $0
  commented = 0

  # Where the line leaves us.
  for (i = 1; i <= length(code); ++i) {
    c = substr(code, i, 1)
    if (c == "{") {
      opens[++depth] = !in_code && declares(words)
      outer[depth] = doc
      before[depth] = words
      about[depth] = doc
      type[depth] = type_of(words)
      if (!opens[depth]) ++in_code
      else doc = ""
      words = ""
    } else if (c == "}") {
      if (!opens[depth]) --in_code
      doc = outer[depth]
      words = opens[depth] ? "" : (before[depth] ~ /\)[ a-z]*$/ ? "" : "=")
      --depth
    } else if (c == ";") {
      words = ""
    } else if (!in_code) {
      if (c == "#" && words ~ /^ *$/) break
      words = words c
    }
  }
  if (words ~ /^ *$/ || words ~ /(public|private|protected): *$/) words = ""
  else words = words " "
}
