# shellcheck shell=bash
# A folder of audio: the options of its recipes, and what their stages 0 to 2 do.
. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/recipe.sh"
option_files+=("${BASH_SOURCE[0]}")
CORPUS=custom MUST_FIT=num_mel_bins

corpus=                 # DIR: folder of audio; needed if stage 0 makes the data
trials=                 # FILE|auto|none|program: trial list; auto is <corpus>/trials if it exists
channel=                # program: which channel of the audio, from 0; default: the mean of all;
                        # with --segment also each: all channels, apart
layout=                 # program: flat, speaker/utt or speaker/session/utt; else by their depth
group_speakers=false    # one speaker name in two sub-corpora means two people
segment=false           # train on utterances that are cut out of long recordings (vad.sh)
vad=                    # program: with --segment: energy, or none to take everything
rttm=                   # FILE|program: with --segment: who speaks when, in place of --vad
max_bad=                # program: share of bad audio files that is left out without stopping
simulate_channels=      # easy (or true): give every utterance a room, a band and a noise of its own;
                        # hard: also a device, a line and a codec, which augmentation does not draw
session_size=           # program: with hard channels, utterances of a folder that share a device
noise=                  # DIR|generated|none|program: noises and music for augmentation, e.g. MUSAN
rir=                    # DIR|generated|none|program: room impulse responses, e.g. of RIRS_NOISES
num_mel_bins=           # program: mel bands; model.mel_bins of the settings must agree
wave=false              # augment waveforms instead of features; keeps them as arks, 115 MB an hour

# Prints the channel for programs that take one: those of utterances stand in the data directory.
one_channel() { [ "$segment$channel" = trueeach ] || echo "$channel"; }

make_data() {
  local folder=data
  is_shared data && return
  [ "$segment" = false ] || folder=data/recordings
  prepare_folder.sh --trials "$trials" --channel "$(one_channel)" --layout "$layout" \
    --group-speakers "$group_speakers" --max-bad "$max_bad" \
    --simulate-channels "$simulate_channels" --session-size "$session_size" \
    --noise "$noise" --rir "$rir" \
    "${corpus:?"give --corpus, the folder of audio"}" "$folder"
  [ "$segment" = false ] ||
    vad.sh --channel "$channel" --vad "$vad" --rttm "$rttm" data/recordings data
  made data segment vad rttm corpus trials channel layout group_speakers max_bad simulate_channels \
    session_size noise rir
}

make_features() {
  local part
  is_shared features && return
  for part in train test; do
    if [ "$part" = test ] && [ ! -e data/test ]; then continue; fi
    extract_features.sh --channel "$(one_channel)" --max-bad "$max_bad" \
      --num-mel-bins "$num_mel_bins" --wave "$wave" "data/$part" "fbank/$part"
  done
  made features channel max_bad num_mel_bins wave
}

make_augmentation() {
  is_shared banks && return
  make_banks.sh --noise "$noise" --rir "$rir" --num-mel-bins "$num_mel_bins" --wave "$wave" banks
  made banks noise rir num_mel_bins wave
}

# Ends the recipe before stage 6 if there are no trials.
end_if_untested() { # experiments
  if [ "$stop_stage" -gt 5 ] && [ ! -e data/test ]; then
    untested.sh --last "$last" "$@"
    exit
  fi
}
