# shellcheck shell=bash
# The beginning of a stage of several commands. A script sources it with the arguments that `once
# mark` gets at the end of the script:
#   . begin.sh "${what[@]}" --force "$force"
# If the work is complete, the script ends with status 0. Otherwise the script and all that it
# starts hold the lock <done>.lock through descriptor 9 until the last of them has ended. So a
# second run on the same results is refused (status 2), also while jobs of a killed script run.

_begin_done='' _begin_ready=true _begin_word=''
for _begin_next in "$@"; do
  case $_begin_word in
    --done) _begin_done=$_begin_next ;;
    --input) [ -e "$_begin_next" ] || _begin_ready=false ;; # once reports it; no folder is made
  esac
  _begin_word=$_begin_next
done
_begin_lock=()
# Complete results on a read-only disk need no lock; if work must write there, once reports it.
if $_begin_ready && mkdir -p -- "$(dirname -- "$_begin_done")" 2> /dev/null &&
  { : >> "$_begin_done.lock"; } 2> /dev/null; then
  exec 9>> "$_begin_done.lock"
  _begin_lock=(--lock 9)
fi
once check "$@" ${_begin_lock[@]+"${_begin_lock[@]}"} || { [ $? -eq 3 ] && exit 0; exit 2; }
unset _begin_done _begin_ready _begin_word _begin_next _begin_lock
