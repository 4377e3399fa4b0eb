# shellcheck shell=bash
# The environment of every script and program. Source it: `. ./path.sh`, from any folder.
#
# Interpreter: $SV_PYTHON if you set it; else the active `python3` if it has what setup.py asks for;
# else `.venv` in the repository, made on first use from utils/lock.txt (and repaired if its making
# was interrupted, or if the lock has changed).
# Afterwards `python` is that interpreter, and `utils/` and `local/` are on the PATH.

SV_ROOT=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
export SV_ROOT

# Prints the interpreter's path. The first check of an environment imports its packages, which takes
# seconds; later ones take a quarter of a second, until a package changes.
_sv_interpreter() {
  local extras=${SV_EXTRAS:-mini} active base said
  if [ -n "${SV_PYTHON:-}" ]; then
    "$SV_PYTHON" "$SV_ROOT/utils/check_env" --extras "$extras"
    return
  fi
  active=$(command -v python3 || true)
  if [ -n "$active" ]; then
    if said=$("$active" "$SV_ROOT/utils/check_env" --extras "$extras" 2>&1); then
      printf '%s\n' "${said##*$'\n'}"
      return
    fi
    case $said in *"cannot be imported"*) printf 'path.sh: not used: %s\n' "$said" >&2 ;; esac
  fi
  for base in python3 python3.11 python3.12 python3.13 python3.10; do
    if "$base" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
      2>/dev/null; then
      "$base" "$SV_ROOT/utils/make_env" "$SV_ROOT" --extras "$extras"
      return
    fi
  done
  echo "path.sh: no Python 3.10 to 3.13 found: install one, or set SV_PYTHON to its path" >&2
  return 1
}

# Scripts source this file again and again, so the choice is made once for each active python3.
if [ "${SV_CHOICE:-}" != "$SV_ROOT|${SV_EXTRAS:-mini}|${SV_PYTHON:-}|$(command -v python3)" ]; then
  SV_INTERPRETER=$(_sv_interpreter) || return 1
  export SV_INTERPRETER # utils/python runs it
  # utils/ first: it holds `python`; then the interpreter's own folder, for ruff, pytest, tensorboard.
  PATH="$SV_ROOT/utils:$SV_ROOT/local:$(dirname -- "$SV_INTERPRETER"):$PATH"
  export PATH
  export PYTHONPATH="$SV_ROOT${PYTHONPATH:+:$PYTHONPATH}"
  SV_CHOICE="$SV_ROOT|${SV_EXTRAS:-mini}|${SV_PYTHON:-}|$(command -v python3)"
  export SV_CHOICE
fi
unset -f _sv_interpreter

export LC_ALL=C             # one sorting order for scp files, whoever sorts them
export PYTHONUTF8=1         # names of files and all text are UTF-8, whatever the locale is
export PYTHONUNBUFFERED=1   # a log shows a message when it is printed, not when the job ends

# OpenMP threads that have nothing to do spin for a while before they sleep. As soon as anything else
# runs they spin on its cores: with one more busy process, training on two cores fell from 326 to
# 103 crops a second. A short spin keeps 165 of them and costs 2 % of an idle machine's speed.
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-1000}

# glibc returns every large block to the kernel when it is freed and asks for it again, zeroed page
# by page, at the next training step. Keeping the blocks made training an ECAPA-TDNN on the CPU 1.25
# to 1.36 times as fast; the price is more resident memory. Other C libraries ignore these.
export MALLOC_MMAP_THRESHOLD_=${MALLOC_MMAP_THRESHOLD_:-4294967296} # take blocks from the heap
export MALLOC_TRIM_THRESHOLD_=${MALLOC_TRIM_THRESHOLD_:-8589934592} # keep up to 8 GiB of free heap
export MALLOC_TOP_PAD_=${MALLOC_TOP_PAD_:-268435456}                # grow it by 256 MiB at a time
