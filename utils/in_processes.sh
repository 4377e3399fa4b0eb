# shellcheck shell=bash
# For a stage script with the options ngpu, nnodes and processes, and with the array `launch`: one
# process of a Python module, or several that work together, on one machine or on several.
#   . in_processes.sh
#   in_processes sv.bin.train "$exp" train
#   "${launch[@]}" "${job[@]}" --config "$config" ...
# adds to `launch` the GPUs of a machine. It sets the array `job` to the words after it, up to the
# module's own options. It sets first_log to the log, <folder>/log/<name>.log, or to that of the
# first machine if there are several. Machines find each other through a file in the folder. If
# ngpu is above 0, the module gets `--device cuda` (also in the array `device`), and fails without
# GPUs.

# shellcheck disable=SC2034,SC2154 # the script sets ngpu, nnodes and processes, and uses the rest
in_processes() { # module, folder, name of the log
  local count=${processes:-$((ngpu > 1 ? ngpu : 1))} log=$2/log/$3
  # Kaldi's queue.pl and slurm.pl have the options --gpu and --num-threads, too.
  [ "$ngpu" -eq 0 ] || launch+=(--gpu "$ngpu")
  first_log=$log.log
  device=()
  [ "$ngpu" -eq 0 ] || device=(--device cuda)
  if [ "$nnodes" -gt 1 ]; then
    first_log=$log.1.log
    mkdir -p "$2"
    job=("JOB=1:$nnodes" "$log.JOB.log" processes --node JOB --nodes "$nnodes"
      --meet "$2/.meet.$(hostname).$$" "$count" -m "$1")
  elif [ "$count" -gt 1 ]; then
    job=("$first_log" processes "$count" -m "$1")
  else
    job=("$first_log" python -m "$1")
  fi
  job+=(${device[@]+"${device[@]}"})
}
