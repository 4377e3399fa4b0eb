# shellcheck shell=bash
# Data, features and banks of another recipe folder (`--data`). stages.sh sources this file.
#
# A stage that makes them writes its options to data/.made.<corpus>.{data,features,banks}. corpus.sh
# sets CORPUS, and sets MUST_FIT to options that count even if the user does not give them. A recipe
# that uses the data of another folder gets links: data/<set>, data/labels/<set>, fbank/<set>, banks,
# and data/.from to the folder itself. Other files beside them (trials of v4) are the recipe's own.

# shellcheck disable=SC2154 # the recipe sets the options

# Prints a line and is true if a stage has nothing to make. Else it removes the stage's note, which
# returns when the stage is complete.
is_shared() { # data, features or banks
  if [ -L data/.from ]; then
    echo "$1 of $(_data_from): nothing to do$(_made_with "data/.from/data/.made.$CORPUS.$1")"
    return 0
  fi
  [ ! -e "data/.made.$CORPUS.$1" ] || mv -f "data/.made.$CORPUS.$1" "data/.was.$CORPUS.$1"
  return 1
}

made() { # data, features or banks; the options that decide what they are
  local _name
  mkdir -p data
  for _name in "${@:2}"; do printf '%s=%s\n' "$_name" "${!_name}"; done > "data/.made.$CORPUS.$1"
  # If the data have changed, features and banks are not up to date until their stages run again.
  if [ "$1" = data ] &&
    { [ "$force" = true ] || ! cmp -s "data/.made.$CORPUS.data" "data/.was.$CORPUS.data"; }; then
    rm -f "data/.made.$CORPUS.features" "data/.made.$CORPUS.banks"
  fi
}

# Links the recipe to the data of another folder, or lets it keep its own data.
choose_data() {
  local folder why
  if [ "$data" = own ] || { [ -L data/.from ] && [ ! -e data/.from/data ]; }; then _unlink_data; fi
  case $data in
    own) return ;;
    auto)
      if [ -L data/.from ]; then
        _link_data "$(_data_from)" # also links what is new there
        why=$(_misfit data/.from given)
        [ -z "$why" ] ||
          _refuse "the data here are those of $(_data_from); $why (--data own: make others)"
        return
      fi
      if [ -e data ] || [ -e fbank ] || [ -e banks ]; then return; fi
      for folder in ../v1 ../v2 ../v3; do
        if [ ! -e "$folder/data/.made.$CORPUS.data" ] || [ "$folder" -ef . ]; then continue; fi
        why=$(_misfit "$folder")
        [ -n "$why" ] || { _link_data "$folder"; return; }
        echo "data of $folder not used: $why"
      done
      ;;
    *)
      [ -d "$data" ] || _refuse "--data $data: there is no such recipe folder"
      # That recipe may itself use the data of another one.
      if [ -L "$data/data/.from" ]; then data=$(CDPATH='' cd -P -- "$data/data/.from" && pwd); fi
      if [ "$data" -ef . ]; then return; fi
      if [ ! -e data/.from ] && { [ -e data ] || [ -e fbank ] || [ -e banks ]; }; then
        _refuse "--data $data: $PWD has data, features or banks of its own: move them away first"
      fi
      why=$(_misfit "$data")
      [ -z "$why" ] || _refuse "--data $data: $why"
      [ data/.from -ef "$data" ] || _unlink_data
      _link_data "$data"
      ;;
  esac
}

_made_with() { # note
  local _set
  [ -e "$1" ] || return 0
  _set=$(sed '/=$/d' "$1" | tr '\n' ' ')
  [ -z "$_set" ] || printf ' (made with %s)' "${_set% }"
}

_refuse() {
  echo "run.sh: $1" >&2
  exit 2
}

_data_from() { # as seen from the recipe
  local _link
  _link=$(readlink data/.from)
  echo "${_link#../}"
}

# Prints why the data of a folder cannot be used, or nothing.
_misfit() { # folder, `given` if data need not be complete
  local _what _name _value
  for _what in data features banks; do
    if [ ! -e "$1/data/.made.$CORPUS.$_what" ]; then
      [ "${2:-}" = given ] && continue
      echo "its $_what are not complete: run stages 0 to 2 there"
      return
    fi
    while IFS='=' read -r _name _value; do
      if [[ "$given_options ${MUST_FIT:-} " == *" $_name "* && ${!_name} != "$_value" ]]; then
        echo "they were made with --${_name//_/-} $(_quoted "$_value")," \
        "and this run wants $(_quoted "${!_name}")"
        return
      fi
    done < "$1/data/.made.$CORPUS.$_what"
  done
}

_quoted() { # value of an option; empty: the program has it
  if [ -n "$1" ]; then echo "'$1'"; else echo "the default"; fi
}

_link_data() { # folder
  local _item _place
  mkdir -p data/labels fbank
  [ -L data/.from ] || ln -sr -- "$1" data/.from
  for _item in "$1"/data/* "$1"/data/labels/* "$1"/fbank/* "$1"/banks; do
    _place=${_item#"$1"/}
    if [ -e "$_item" ] && [ ! -e "$_place" ]; then ln -srfn -- "$_item" "$_place"; fi
  done
}

_unlink_data() {
  local _folder
  [ -L data/.from ] || return 0
  for _folder in data/ data/labels/ fbank/; do
    [ ! -d "$_folder" ] || find "$_folder" -mindepth 1 -maxdepth 1 -type l -delete
  done
  [ ! -L banks ] || rm banks
  rm -f data/.from # also found above, unless data/ was gone
}
