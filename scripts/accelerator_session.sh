#!/usr/bin/env bash
# Runs the experiments that need an accelerator, the most valuable first, for a given number of minutes.
#
#   scripts/accelerator_session.sh MINUTES DEVICE [OUT]      DEVICE: h100, a100, … as in `jaxnets plan --on`
#   scripts/accelerator_session.sh --rehearse [OUT]          on this machine's CPU, with stand-ins of a minute or less
#
# Call it as often as there is time, for at most 8 minutes each: a machine that is lent for minutes takes no longer calls.
# What is finished is skipped, what was interrupted goes on. It stops 60 seconds before its time is up, so that the current
# epoch can end and be saved. First comes a check of the device, once (scripts/self_check.py); where that fails, nothing else is
# run, unless OUT/self-check.txt is looked at and OUT/checked made by hand.
#
# It leaves OUT/results.jsonl with every finished run, OUT/recurrence.jsonl with recurrent layers in all their forms,
# OUT/benchmarks.jsonl with step times against PyTorch, cuDNN's recurrent layers and CUDA graphs among them, where that is
# installed, and OUT/report/. The data sets must be prepared ($JAXNETS_DATA).
# $SETTINGS replaces the list below: lines of "ID… OPTIONS…".
set -euo pipefail
cd "$(dirname "$0")/.."

# Tables 3 and 4 of S4, its table 7, LeNets, recurrent nets, the rest.
all_settings="
cifar10/resnet34/super --seeds 1 --model.dtype bfloat16
cifar10/resnet34/best --seeds 1 --model.dtype bfloat16
tiny_imagenet/resnet34/super --seeds 1 --model.dtype bfloat16
cifar10/resnet34/plain --seeds 1 --model.dtype bfloat16
cifar10/resnet34/dropout --seeds 1 --model.dtype bfloat16
cifar10/resnet34/super_badinit --seeds 1 --epochs 10
tiny_imagenet/resnet34/best --seeds 1 --model.dtype bfloat16
study/batch_size/128 study/batch_size/256 study/batch_size/512 study/batch_size/1024 --seeds 1 --model.dtype bfloat16
study/batch_size/2048 study/batch_size/4096 study/batch_size/8192 --seeds 1 --model.dtype bfloat16
study/batch_size/16384 --seeds 1 --grad-accumulation-steps 4 --model.dtype bfloat16
cifar10/lenet --seeds 8
tiny_imagenet/lenet --seeds 8
mnist_rows --seeds 8
word_lm --seeds 1
imdb --seeds 3
translate --seeds 8
study/spsa --seeds 3
"
# One of each kind, as short as they can be.
stand_ins="
cifar10/resnet34/super --seeds 1 --data.source synthetic --model.blocks 1 1 --model.width 8 --steps 6 --eval-examples 100
cifar10/lenet/bn --seeds 2 --data.source synthetic --steps 20 --eval-examples 100
mnist_rows/gru_128 --seeds 2 --data.source synthetic --steps 20 --eval-examples 100
"

usage="usage: accelerator_session.sh MINUTES DEVICE [OUT], or --rehearse [OUT]"
if [ "${1:-}" = --rehearse ]; then
  minutes=8 device=cpu out=${2:-runs/rehearsal} settings=${SETTINGS:-$stand_ins} workloads=nist36_mlp
else
  minutes=${1:?$usage} device=${2:?$usage} out=${3:-runs/accelerator} settings=${SETTINGS:-$all_settings} workloads=$(python -c 'from benchmarks.workloads import WORKLOADS; print(*WORKLOADS)')
fi
[[ $minutes =~ ^[1-8]$ ]] || { echo "$usage: from 1 to 8 minutes, and call again" >&2; exit 2; }
end=$(($(date +%s) + 60 * minutes - 60))
seconds_left() { echo $((end - $(date +%s))); }
# SIGINT makes a run save and end.
within_time() { timeout --signal=INT --kill-after=45 "$(seconds_left)" "$@" </dev/null; }
# once NAME SECONDS COMMAND…: unless it was done before, or there are fewer seconds left. What fails must not stop the others.
once() {
  local name=$1 needed=$2
  shift 2
  [ ! -e "$out/$name" ] && [ "$(seconds_left)" -gt "$needed" ] || return 0
  echo "== $name: $*"
  if within_time "$@"; then touch "$out/$name"; else echo "$name: status $?"; fi
}

mkdir -p "$out"
once checked 60 bash -c 'set -o pipefail; python scripts/self_check.py "$1" | tee "$2"' - "$device" "$out/self-check.txt"
[ -e "$out/checked" ] || { echo "the device is not as expected, or there was no time to see: $out/self-check.txt" >&2; exit 1; }
number=0
while read -r setting; do
  [ -n "$setting" ] || continue
  number=$((number + 1))
  [ "$(seconds_left)" -gt 10 ] || break
  # shellcheck disable=SC2086  # A setting is several words.
  once "done-$number" 10 python -m jaxnets run $setting --out "$out"
done <<<"$settings"
if [ "$device" != cpu ]; then
  once done-recurrence 120 python -m benchmarks.recurrence --json-file "$out/recurrence.jsonl"
fi
if python -c 'import torch' 2>/dev/null; then
  for workload in $workloads; do
    once "done-$workload" 60 python -m benchmarks "$workload" --json "$out/benchmarks.jsonl"
  done
fi
python -m jaxnets report "$out" --jsonl "$out/results.jsonl" || echo "nothing has finished yet"
[ "$(seconds_left)" -gt 0 ] || echo "time is up: call again"
