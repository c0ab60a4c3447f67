#!/usr/bin/env bash
# Runs the experiments that need an accelerator, the most valuable first, for a given number of minutes.
#
#   scripts/accelerator_session.sh MINUTES [OUT]
#
# Call it as often as there is time: interrupted runs are resumed, finished ones are skipped. It stops 90 seconds before its
# time is up, so that the current epoch can end and be saved. It leaves OUT/results.jsonl with every finished run,
# OUT/benchmarks.jsonl with step times against PyTorch where that is installed, and OUT/report/. The data sets must be
# prepared ($JAXNETS_DATA).
# $SETTINGS replaces the list below: lines of "ID… OPTIONS…".
set -euo pipefail

minutes=${1:?usage: accelerator_session.sh MINUTES [OUT]}
out=${2:-runs/accelerator}
end=$(($(date +%s) + 60 * minutes - 90))
seconds_left() { echo $((end - $(date +%s))); }

settings=${SETTINGS:-"
cifar10/resnet34/super --seeds 1 --model.dtype bfloat16
cifar10/lenet --seeds 8
cifar10/resnet34/best --seeds 1 --model.dtype bfloat16
tiny_imagenet/resnet34/super --seeds 1 --model.dtype bfloat16
cifar10/resnet34/plain --seeds 1 --model.dtype bfloat16
cifar10/resnet34/dropout --seeds 1 --model.dtype bfloat16
cifar10/resnet34/super_badinit --seeds 1 --epochs 10
tiny_imagenet/lenet --seeds 8
study/batch_size/128 study/batch_size/256 study/batch_size/512 study/batch_size/1024 --seeds 1 --model.dtype bfloat16
study/batch_size/2048 study/batch_size/4096 study/batch_size/8192 --seeds 1 --model.dtype bfloat16
study/batch_size/16384 --seeds 1 --grad-accumulation-steps 4 --model.dtype bfloat16
tiny_imagenet/resnet34/best --seeds 1 --model.dtype bfloat16
word_lm --seeds 1
imdb --seeds 3
mnist_rows --seeds 8
translate --seeds 8
study/spsa --seeds 3
"}

jaxnets() { python -m jaxnets "$@"; }

mkdir -p "$out"
while read -r setting; do
  [ -n "$setting" ] || continue
  [ "$(seconds_left)" -gt 10 ] || break
  # SIGINT makes a run save and end. A run that fails must not stop the others.
  # shellcheck disable=SC2086  # A setting is several words.
  timeout --signal=INT --kill-after=60 "$(seconds_left)" python -m jaxnets run $setting --out "$out" </dev/null || echo "$setting: status $?"
done <<<"$settings"
if [ "$(seconds_left)" -gt 200 ] && [ ! -s "$out/benchmarks.jsonl" ] && python -c 'import torch' 2>/dev/null; then
  timeout --signal=INT "$(seconds_left)" python -m benchmarks --json "$out/benchmarks.jsonl" || true
fi
jaxnets report "$out" --jsonl "$out/results.jsonl" || echo "nothing has finished yet"
