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

echo "ruff"
python -m ruff check --quiet . "${python_files[@]}"
python -m ruff format --quiet --check . "${python_files[@]}"
echo "shellcheck"
shellcheck "${shell_files[@]}"
echo "pytest"
status=0
python -m pytest -n auto --dist worksteal ${chosen[@]+"${chosen[@]}"} "$@" || status=$?
echo "tests/run.sh: $((SECONDS / 60)) min $((SECONDS % 60)) s"
exit "$status"
