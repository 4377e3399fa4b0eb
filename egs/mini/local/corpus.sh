# shellcheck shell=bash
# The mini corpus, synthetic speech: the options of its recipes, and what their stages 0 to 2 do.
. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/recipe.sh"
option_files+=("${BASH_SOURCE[0]}")
CORPUS=mini

wave=false # augment waveforms instead of features

make_data() {
  is_shared data && return
  "$SV_ROOT/egs/mini/local/make_corpus.sh" corpus data
  made data
}

make_features() {
  local part
  is_shared features && return
  for part in train test; do
    extract_features.sh --wave "$wave" "data/$part" "fbank/$part"
  done
  made features wave
}

make_augmentation() {
  is_shared banks && return
  make_banks.sh --wave "$wave" banks
  made banks wave
}
