/**
 * The completion script for bash. It is our own, because the library's needs the package bash-completion, evaluates what was
 * typed, and leaves no file names to bash.
 *
 * @param name - name of the program.
 */
export function bashScript(name: string): string {
  const fn = `_${name.replaceAll(/[^a-z0-9]/gi, '_')}`
  return String.raw`# bash completion for ${name}

${fn}() {
  local IFS=$'\n' rest=${'$'}{COMP_LINE:0:COMP_POINT} words=() word before line cur directive=0 break
  local index
  # Bash separates words at "=" and ":" too. Those without a blank in between belong together.
  for ((index = 0; index <= COMP_CWORD; index++)); do
    word=${'$'}{COMP_WORDS[index]}
    if ((index == COMP_CWORD)); then
      before=${'$'}{rest%%[![:space:]]*}
      word=${'$'}{rest#"$before"}
    else
      before=${'$'}{rest%%"$word"*}
      rest=${'$'}{rest#*"$word"}
    fi
    if ((index > 1)) && [[ -z $before ]]; then
      words[${'$'}{#words[@]}-1]+=$word
    else
      words+=("$word")
    fi
  done
  cur=${'$'}{words[${'$'}{#words[@]}-1]}
  COMPREPLY=()
  # What readline replaces begins after the last of these characters.
  break=
  if [[ $cur == *[=:]* ]]; then break=${'$'}{cur%"${'$'}{cur##*[=:]}"}; fi
  while read -r line; do
    if [[ $line =~ ^:[0-9]+$ ]]; then
      directive=${'$'}{line#:}
      continue
    fi
    line=${'$'}{line%%$'\t'*}
    if [[ -z $line ]]; then continue; fi
    if [[ $cur == -*=* && $line != -* ]]; then line=${'$'}{cur%%=*}=$line; fi
    if [[ $line == "$cur"* ]]; then COMPREPLY+=("${'$'}{line#"$break"}"); fi
  done < <(command "${'$'}{words[0]}" complete -- "${'$'}{words[@]:1}" 2>/dev/null)
  # 4: the word is no file name. The bash of macOS has no compopt.
  if ((directive & 4)); then compopt +o default 2>/dev/null; fi
  return 0
}

complete -o default -F ${fn} ${name}
`
}
