#!/bin/sh
# The main job on real input: trains an ArcFace classifier on Fashion-MNIST (60,000 + 10,000 images), evaluates it, and
# prints accuracy and speed. DEMO_EPOCHS and DEMO_OUT change its length and folder.
set -eu

out="${DEMO_OUT:-runs/demo}"
build/logitude train --data fashion-mnist --loss arcface:s=16,m=0.2 --encoder mlp:512,512 --dim 128 \
    --epochs "${DEMO_EPOCHS:-10}" --batch 128 --optimizer adamw --lr 1e-3 --out "$out"
echo
build/logitude eval --model "$out/model.safetensors" --data fashion-mnist --protocol all
