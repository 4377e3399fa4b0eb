#!/usr/bin/env bash
# Makes the environment if need be, checks the style of Python and shell files, runs the tests.
# `tests/run.sh --fast` leaves out the tests that start programs, processes or trainings: an answer
# in a minute. `--thorough` adds some that take half a minute each, as continuous integration does.
# Other arguments go to pytest: `tests/run.sh -k launch`, `tests/run.sh tests/losses -n 0`.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
chosen=()
if [ "${1:-}" = --fast ]; then
  chosen=(-m "not whole and not recipe and not slow")
  shift
fi
export SV_EXTRAS=mini,onnx,dev # path.sh must find what the tests use too
. ./path.sh

# Programs in utils/ have no ending: their first line tells the language.
python_files=() shell_files=()
while IFS= read -r -d '' file; do
  case $file,$(head -n 1 -- "$file" | tr -d '\0') in
    *.sh,* | */.ci/run,* | ./utils/*,'#!'*bash) shell_files+=("$file") ;;
    ./utils/*,'#!'*python3) python_files+=("$file") ;;
  esac
done < <(find . \( -name ".venv*" -o -name .git -o -name data -o -name exp -o -name corpus \) -prune -o \
  -type f \( -name '*.sh' -o -path './utils/*' -o -path './.ci/run' \) -print0)

# A finding of style does not keep the tests from running; it fails the whole at the end.
style=()
checked() { "$@" || style+=("$1 ${2:-} ${3:-}"); }
echo "ruff"
checked python -m ruff check --quiet . "${python_files[@]}"
checked python -m ruff format --quiet --check . "${python_files[@]}"
echo "shellcheck"
checked shellcheck "${shell_files[@]}"
echo "pytest"
status=0
python -m pytest -n auto --dist worksteal ${chosen[@]+"${chosen[@]}"} "$@" || status=$?
echo "tests/run.sh: $((SECONDS / 60)) min $((SECONDS % 60)) s"
for finding in ${style[@]+"${style[@]}"}; do
  echo "tests/run.sh: style: '$finding' has findings, above" >&2
  [ "$status" -ne 0 ] || status=1
done
exit "$status"
