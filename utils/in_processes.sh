# shellcheck shell=bash
# For a stage script with the options ngpu, nnodes and processes, and with the array `launch`: one
# process of a Python module, or several that work together, on one machine or on several.
#   . in_processes.sh
#   in_processes sv.bin.train "$exp" train
#   "${launch[@]}" "${job[@]}" --config "$config" ...
# adds to `launch` the GPUs of a machine and sets the array `job` to what follows it up to the
# module's own options, and first_log to the log, <folder>/log/<name>.log or, of several machines,
# that of the first. Machines find each other through a file in the folder. If GPUs were asked for,
# the module gets `--device cuda` (also in the array `device`) and refuses to work without them.

# shellcheck disable=SC2034,SC2154 # the script sets ngpu, nnodes and processes, and uses the rest
in_processes() { # module, folder, name of the log
  local count=${processes:-$((ngpu > 1 ? ngpu : 1))} log=$2/log/$3
  # Kaldi's queue.pl and slurm.pl know --gpu and --num-threads as well.
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
