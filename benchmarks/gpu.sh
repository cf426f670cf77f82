#!/usr/bin/env bash
# All that is to be measured on a GPU, within eight minutes: correctness, throughput, launches, executed operations, the
# first step with XLA, the demo log, tests. Needs no network and no TFX. docs/experiments/gpu.md says what a row means.
#   bash benchmarks/gpu.sh [--demo FOLDER]    on a machine with a GPU; PYTHON names a Python that has TensorFlow and Keras
#   bash benchmarks/gpu.sh --small            all of it at tiny sizes, on a CPU too
#   bash benchmarks/gpu.sh --pack FOLDER      packs the demo log of the last run, where the pipeline is installed
# Writes gpu.json and what the processes said (gpu/) to the folder in OUT, by default build/bench.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-$(test -x "$root/.venv/bin/python" && echo "$root/.venv/bin/python" || echo python3)}
here=$PWD
absolute() { case $1 in /*) echo "$1" ;; *) echo "$here/$1" ;; esac; }
arguments=()
module=gpu
while [ $# -gt 0 ]; do
  case $1 in
    --pack) module=gpu_demo; arguments+=("$(absolute "$2")"); shift 2 ;;
    --demo) arguments+=(--demo "$(absolute "$2")"); shift 2 ;;
    *) arguments+=("$1"); shift ;;
  esac
done
if [ -n "${OUT:-}" ]; then OUT=$(absolute "$OUT"); export OUT; fi
cd "$root"
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
export COLUMNS=${COLUMNS:-140}  # of the table, where no terminal tells
exec "$python" -m "benchmarks.$module" "${arguments[@]}"
