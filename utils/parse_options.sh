# shellcheck shell=bash
# Options for shell scripts: every lower-case variable that a script sets above the line that
# sources this file is an option `--name value`; dashes in the option stand for underscores.
#
#   #!/usr/bin/env bash
#   # One sentence on what the script does.
#   #
#   # Usage: example.sh [options] <data> <out>
#   set -euo pipefail
#   stop_stage=8  # last stage to run
#   corpus=       # DIR: folder of audio
#   force=false   # run it even if complete
#   . parse_options.sh
#
# --help shows the comment at the top, then each variable with its default and its own comment.
# An option whose default is true or false takes only these; an option whose default is a whole
# number takes only whole numbers. If a comment begins with `FILE:` or `DIR:`, the user's value
# becomes an absolute path, from the folder of the caller, or from that of the script if the path
# exists only there; `DIR|generated:` also takes the bare word. The number of arguments must be that
# of `<...>` in the Usage line (or larger, if the line ends in dots). Works under `set -euo
# pipefail`.
#
# Several scripts can share options. A file of such options has the variables, their comments, and
#   option_files+=("${BASH_SOURCE[0]}")
# A script sources it first. The script may then set a variable again to give it another default; a
# new comment is needed only if the text should change, too.
#
# A comment that begins with `program:` (or `FILE|program:`) marks a setting of the Python program
# that the script runs. Its variable is empty, because the program has the default, and
#   hand_on words lda_dim iterations
# adds `--lda-dim VALUE` and so on to the array `words` for the options that the user has given.
# `given_options` holds the names of all options that were given, with a blank around each.

_options_script=${BASH_SOURCE[1]}
_options_self=${_options_script##*/}
given_options=' '

hand_on() { # name of an array, names of variables
  local -n _hand_on=$1
  local _name
  for _name in "${@:2}"; do
    [ -z "${!_name}" ] || _hand_on+=("--${_name//_/-}" "${!_name}")
  done
}

_options_error() {
  echo "$_options_self: $1" >&2
  exit 2
}

# Prints "name<TAB>comment" for each option of the script, then of the files it has sourced, the
# last one first. A comment may go on in indented comment lines. An option that several files set
# has the first of their comments.
_options_list() {
  local _files=("$_options_script") _number
  for ((_number = ${#option_files[@]} - 1; _number >= 0; _number--)); do
    _files+=("${option_files[_number]}")
  done
  awk '
    function keep() {
      if (name != "" && !(name in texts)) names[++count] = name
      if (name != "" && texts[name] == "") texts[name] = text
      name = ""
    }
    FNR == 1 { keep(); below = 0 }
    /parse_options\.sh/ && !/^#/ { keep(); below = 1 }
    below { next }
    /^[a-z][a-z0-9_]*=/ {
      keep()
      name = $0; sub(/=.*/, "", name)
      text = $0; if (!sub(/^.*[ \t]#[ \t]+/, "", text)) text = ""
      next
    }
    name != "" && /^[ \t]+#/ { line = $0; sub(/^[ \t]+#[ \t]*/, "", line); text = text " " line; next }
    { keep() }
    END { keep(); for (i = 1; i <= count; i++) print names[i] "\t" texts[names[i]] }
  ' "${_files[@]}"
}
option_files+=() # empty if a script shares no options
_options_known=$(_options_list)

# Variables of these functions begin with an underscore: a script may have options like `name`.
_options_help() {
  local _name _text _default
  awk 'NR == 1 && /^#!/ { next } !/^#/ { exit } { sub(/^# ?/, ""); print }' "$_options_script"
  printf '\nOptions:\n'
  while IFS=$'\t' read -r _name _text; do
    _default=${!_name:-none}
    if [[ $_text =~ ^([A-Za-z|]*\|)?program:\ (.*) ]]; then
      _text=${BASH_REMATCH[1]:+${BASH_REMATCH[1]%|}: }${BASH_REMATCH[2]}
      _default=${!_name:-that of the program}
    fi
    printf '  --%-18s %s (default: %s)\n' "${_name//_/-}" "$_text" "$_default"
  done <<< "$_options_known"
  printf '  --%-18s %s\n' help "show this text"
}

# Prints the known option that is nearest to the given one, by edit distance.
_options_nearest() {
  cut -f 1 <<< "$_options_known" | tr _ - | awk -v given="$1" '
    function least(a, b) { return a < b ? a : b }
    function distance(a, b,   i, j, d) {
      for (i = 0; i <= length(a); i++) d[i, 0] = i
      for (j = 0; j <= length(b); j++) d[0, j] = j
      for (i = 1; i <= length(a); i++)
        for (j = 1; j <= length(b); j++)
          d[i, j] = least(least(d[i-1, j], d[i, j-1]) + 1,
                          d[i-1, j-1] + (substr(a, i, 1) != substr(b, j, 1)))
      return d[length(a), length(b)]
    }
    { d = distance(given, $0); if (NR == 1 || d < best) { best = d; nearest = $0 } }
    END { print nearest }'
}

_options_is_path() { # comment, value
  local _kinds="|${1%%:*}|"
  [[ $1 == *:* && $_kinds =~ \|(FILE|DIR)\| && -n $2 && $2 != /* && $_kinds != *"|$2|"* ]]
}

_options_set() { # option as typed, its name, its value
  local _name=${2//-/_} _value=$3 _text _default _here
  _text=$(awk -F '\t' -v name="$_name" '$1 == name { print "x" $2 }' <<< "$_options_known")
  if [ -z "$_text" ]; then
    _options_error "no option $1 (nearest: --$(_options_nearest "$2")); --help lists them all"
  fi
  _default=${!_name}
  if [[ $_default =~ ^(true|false)$ && ! $_value =~ ^(true|false)$ ]]; then
    _options_error "--$2 takes true or false, not '$_value'"
  elif [[ $_default =~ ^-?[0-9]+$ && ! $_value =~ ^-?[0-9]+$ ]]; then
    _options_error "--$2 takes a whole number, not '$_value'"
  elif [[ $_default =~ ^-?[0-9]+$ && ${#_value} -gt 10 ]]; then
    _options_error "--$2 takes a whole number of at most ten digits, not '$_value'"
  elif _options_is_path "${_text#x}" "$_value"; then
    _here=$(CDPATH='' cd -- "$(dirname -- "$_options_script")" && pwd)
    if [ ! -e "$_value" ] && [ -e "$_here/$_value" ]; then
      _value=$_here/$_value
    else
      _value=$PWD/$_value
    fi
  fi
  printf -v "$_name" '%s' "$_value"
  given_options+="$_name "
}

while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) _options_help; exit 0 ;;
    --) shift; break ;;
    --*=*) _options_name=${1%%=*}; _options_set "$_options_name" "${_options_name#--}" "${1#*=}"; shift ;;
    --*)
      # An unknown option is reported as unknown, even if no value follows it.
      if [ $# -lt 2 ]; then
        if cut -f 1 <<< "$_options_known" | tr _ - | grep -qx -- "${1#--}"; then
          _options_error "$1 needs a value"
        fi
        _options_set "$1" "${1#--}" ""
      fi
      _options_set "$1" "${1#--}" "$2"
      shift 2
      ;;
    -?*) _options_error "no option $1: options begin with two dashes; --help lists them all" ;;
    *) break ;;
  esac
done

_options_usage=$(sed -n 's/^# Usage: //p' "$_options_script" | head -n 1)
_options_wanted=$(grep -o '<[^>]*>' <<< "$_options_usage" | wc -l || true)
if [ $# -lt "$_options_wanted" ] || { [ $# -gt "$_options_wanted" ] && [[ $_options_usage != *... ]]; }; then
  echo "$_options_self: expected $_options_wanted argument(s), got $#${1:+: $*}" >&2
  echo "usage: $_options_usage   (--help says more)" >&2
  exit 2
fi
unset -f _options_error _options_list _options_help _options_nearest _options_is_path _options_set
unset _options_script _options_self _options_name _options_usage _options_wanted _options_known
unset option_files
