# shellcheck shell=bash
# VoxCeleb: the options of its recipes, what their stages 0 to 2 do, and its lists of trials.
. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/recipe.sh"
option_files+=("${BASH_SOURCE[0]}")
CORPUS=voxceleb MUST_FIT="num_mel_bins preset"

voxceleb1=              # DIR: VoxCeleb1, dev and test
voxceleb2=              # DIR: VoxCeleb2, dev; m4a is converted by ffmpeg
musan=corpus/musan      # DIR: noises, music and speech
rirs=corpus/RIRS_NOISES # DIR: room responses
trials=corpus/trials    # DIR: veri_test2.txt, list_test_all2.txt, list_test_hard2.txt
download=false          # fetch trials, MUSAN and RIRS_NOISES if they are not there
train_set=              # program: voxceleb2 (dev), voxceleb1 (dev), or several joined by +
lists=                  # program: trial lists, some of o, e and h
contaminated=           # program: true: score, marked, lists with speakers of the training set too
counts=                 # FILE|published|any|program: counts that the corpora and lists must have
converted=corpus        # DIR: where m4a files are converted to
babble=                 # program: babble of MUSAN's speech (musan), or of utterances (training)
max_rooms=10000         # of 60,000 room responses, spread evenly; 0: all, 8 kB of memory each
room_seconds=           # program: length kept of each room response; 0: all of it
num_mel_bins=           # program: mel bands; model.mel_bins of the settings must agree
preset=                 # program: filterbank: kaldi, sslsv or sslsv_hann; data.preset must agree
wave=false              # true: augment waveforms instead of features; keeps them as arks, 280 GB.
                        # all: keep those of the test set too, for an encoder of waveforms

make_data() {
  local folder
  is_shared data && return
  # Trial lists, MUSAN, RIRS_NOISES and converted files may already be in another recipe's folder.
  for folder in ../v1 ../v2 ../v3; do
    [ "$data" = own ] || [ -e corpus ] || [ ! -d $folder/corpus ] || ln -s $folder/corpus corpus
  done
  "$SV_ROOT/egs/voxceleb/local/prepare.sh" --voxceleb1 "$voxceleb1" --voxceleb2 "$voxceleb2" \
    --trials "$trials" --train-set "$train_set" --lists "$lists" --contaminated "$contaminated" \
    --counts "$counts" --converted "$converted" --download "$download" data
  made data voxceleb1 voxceleb2 trials train_set lists contaminated counts
}

make_features() {
  local part waves=${wave/all/true}
  is_shared features && return
  for part in train voxceleb1; do
    extract_features.sh --num-mel-bins "$num_mel_bins" --preset "$preset" --wave "$waves" \
      "data/$part" "fbank/$part"
    [ "$wave" = all ] || waves=false # most encoders need them in training only
  done
  made features num_mel_bins preset wave
}

make_augmentation() {
  is_shared banks && return
  prepare_noises.sh --babble "$babble" --max-rooms "$max_rooms" --download "$download" \
    "$musan" "$rirs" data
  make_banks.sh --noise data/musan --rir data/rirs --num-mel-bins "$num_mel_bins" \
    --preset "$preset" --wave "${wave/all/true}" --room-seconds "$room_seconds" banks
  made banks musan rirs babble max_rooms num_mel_bins preset wave room_seconds
}

# Lists of stage 0; the names of those with speakers of the training set say so. With --crops every
# experiment is a second system, <experiment>-crops<N>.
score_lists() { # experiments
  local list given
  while read -r list; do
    given=(--trials "data/trials/$list" --name "$list")
    # shellcheck disable=SC2154 # stages.sh sets train
    score_kinds.sh "${given[@]}" data/voxceleb1 "$train" "$@" < /dev/null
    [ -z "${crops:-}" ] ||
      score_kinds.sh "${given[@]}" --crops "$crops" data/voxceleb1 "$train" "$@" < /dev/null
  done < data/trials/lists
}

report_lists() { # experiments
  local list cropped=()
  [ -z "${crops:-}" ] || cropped=("${@/%/-crops$crops}")
  while read -r list; do
    report.sh --trials "data/trials/$list" --name "$list" --results exp/RESULTS.md \
      data/voxceleb1 "$@" ${cropped[@]+"${cropped[@]}"} < /dev/null
  done < data/trials/lists
}
