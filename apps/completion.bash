# Completes the flags of the programs, and the words that a flag takes, as their --help lists them:
#
#     source apps/completion.bash
_bobbin() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} flags line
  # Of --model=le bash makes three words.
  [[ $word == = ]] && word=''
  [[ $before == = ]] && before=${COMP_WORDS[COMP_CWORD - 2]}
  flags=$("${COMP_WORDS[0]/#\~\//$HOME/}" --help 2> /dev/null | sed -nE 's/^  (-[^ ]+)( (\{[^}]*\}|[A-Z]+))?.*/\1 \3/p') || return
  # Of "-m,--model {vit,lenet}": where one of the names comes before, the words; at a file's place nothing, and the
  # shell goes on with files.
  if [[ $before == -* ]]; then
    line=$(grep -E "^([^ ]*,)?$before(,[^ ]*)? ." <<< "$flags" | head -n 1)
    if [[ $line == *'{'* ]]; then
      line=${line#*\{}
      mapfile -t COMPREPLY < <(compgen -W "$(tr ',' ' ' <<< "${line%\}*}")" -- "$word")
      return
    fi
    [[ -n $line ]] && return
  fi
  [[ $word == -* ]] && mapfile -t COMPREPLY < <(compgen -W "$(sed 's/ .*//' <<< "$flags" | tr ',' ' ')" -- "$word")
}
complete -o default -F _bobbin train classify evaluate attention plot sweep convert knn bench
