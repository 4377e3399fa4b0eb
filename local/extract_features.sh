#!/usr/bin/env bash
# Stage 1 for any corpus: wav.scp -> filterbank arks, feats.scp and utt2num_frames. If there is a
# file segments, its spans are the utterances, and only they are read. The set is
# split into pieces of equal duration; an interrupted run goes on with the pieces that are missing.
# With --wave true also 16-bit waveform arks, wav_ark.scp and utt2num_samples, which training reads
# where data.domain is wave.
#
# Usage: extract_features.sh [options] <data> <fbank>
set -euo pipefail

nj=${nj:-2}            # pieces, and jobs that work on them
sample_rate=           # program: Hz; audio at another rate is resampled
num_mel_bins=          # program: mel bands
preset=                # program: filterbank: kaldi, sslsv or sslsv_hann; data.preset must agree
compression=           # program: how arks are stored: CM2 16 bit, CM or CM3 8 bit, FM float
wave=false             # keep the waveforms too, 115 MB an hour at 16 kHz
channel=               # program: which channel of the audio, from 0; default: the mean of all
exclude=               # FILE: utterances to leave out, as sv doctor lists them
max_bad=               # program: share of bad utterances that is left out without stopping
force=${force:-false}  # run it even if complete, and every piece of it

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
data=$1 fbank=$2
read -r -a launch <<< "${cmd:-launch}"

# Audio may be replaced under the same name: sizes and dates are part of what features are made of.
[ -e "$data/wav.scp" ] || { echo "extract_features.sh: $data/wav.scp: run stage 0: ./run.sh --stop-stage 0" >&2; exit 2; }
audio=$(cut -d ' ' -f 2- -- "$data/wav.scp" | tr '\n' '\0' |
  xargs -0 stat -L -c '%s %Y' -- 2>&1 | sha256sum) || true # missing files are named below

settings=() limits=() leave_out=()
hand_on settings sample_rate num_mel_bins preset compression channel
hand_on limits max_bad
hand_on leave_out exclude
key="${settings[*]} ${limits[*]} $audio"
[ "$wave" = false ] || key+=" wave"
what=(--title "features of $data" --done "$fbank/.features.done" --input "$data/wav.scp"
  --input "$data/utt2dur" --output "$data/feats.scp" --output "$data/utt2num_frames"
  --key "$key")
[ "$wave" = false ] || what+=(--output "$data/wav_ark.scp" --output "$data/utt2num_samples")
list=$data/wav.scp piece=wav.JOB.scp
if [ -e "$data/segments" ]; then list=$data/segments piece=segments.JOB; fi
for file in segments reco2file_and_channel; do
  [ ! -e "$data/$file" ] || what+=(--input "$data/$file")
done
[ -z "$exclude" ] || what+=(--input "$exclude")
. begin.sh "${what[@]}" --force "$force"

# Features of an earlier run lack its bad utterances, which would pass for a mistake.
rm -f "$data"/{feats.scp,utt2num_frames,feats_preset,wav_ark.scp,utt2num_samples,bad_utterances}
validate_data_dir --no-feats --no-audio "$data" # audio is looked at below, file by file
piece=$fbank/split$nj/$piece
nj=$(split_scp --weights "$data/utt2dur" "$nj" "$list" "$piece")
spans=(--scp "$piece")
[ ! -e "$data/segments" ] || spans=(--scp "$data/wav.scp" --segments "$piece")
LAUNCH_TITLE="features of $data" "${launch[@]}" "JOB=1:$nj" "$fbank/log/features.JOB.log" \
  python -m sv.bin.extract_features "${spans[@]}" --out "$fbank" --name JOB \
  --wave "$wave" --force "$force" ${settings[@]+"${settings[@]}"} ${leave_out[@]+"${leave_out[@]}"}
python -m sv.bin.merge_features --data "$data" --pieces "$fbank" --num "$nj" --wave "$wave" \
  ${limits[@]+"${limits[@]}"} ${leave_out[@]+"${leave_out[@]}"}
validate_data_dir --no-audio "$data"
once mark "${what[@]}"
