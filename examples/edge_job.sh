#!/usr/bin/env bash
# From images and a CPU to a trained network in ONNX and TFLite: bash edge_job.sh IMAGES FOLDER
#
# IMAGES holds train/ and val/, each with a folder of images for every class. Everything is written
# into FOLDER; the same command resumes there. Inputs have 64 pixels; set SPACE, LIMIT_MS, TRIALS,
# EPOCHS and FINAL_EPOCHS for another job.
set -euo pipefail
images=$(realpath "$1") here=$(dirname "$(realpath "$0")")
mkdir -p "$2" && cd "$2"
space=${SPACE:-mbconv_64} limit=${LIMIT_MS:-0.5}
step() { echo; echo "== $1 ($SECONDS s)"; }

step "1. A latency table of this CPU, validated on networks that it was not fitted on"
[ -e cpu.yaml ] || nas latency measure --space "$space" --out cpu.yaml

step "2. A search: networks of the space within the limit, trained for a few epochs each"
nas search --out found --space "$space" --latency-table cpu.yaml --limit "latency_ms<=$limit" \
    --data "imagefolder:$images" --evaluator "proxy:epochs=${EPOCHS:-6}" --trials "${TRIALS:-12}" \
    --check

step "3. The best one, trained to the end"
nas train found:best --data "imagefolder:$images" --epochs "${FINAL_EPOCHS:-30}" --out trained

step "4. How good is it?"
nas eval trained --data "imagefolder:$images" --picture confusion.png

step "5. Files for ONNX Runtime and for phones"
nas export trained --out network.onnx
nas export trained --out network.tflite

step "6. The same accuracy from the files, by plain scripts; and the latency"
python "$here/classify.py" network.onnx "$images/val"
python "$here/classify.py" network.tflite "$images/val"
nas latency check found --top 3
step "done"
