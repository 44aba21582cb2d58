#!/bin/sh
# Draws docs/figures/ with the built program: two-dimensional embeddings of the Fashion-MNIST test images.
set -eu

data="${LOGITUDE_DATA:-/usr/share/datasets/fashion-mnist}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# panel NAME LOSS: trains, embeds, and leaves the accuracy in percent in $accuracy
panel() {
    build/logitude train --data fashion-mnist --loss "$2" --dim 2 --epochs 10 --out "$work/$1" -q --json > "$work/$1.json"
    build/logitude embed --model "$work/$1/model.safetensors" --data fashion-mnist --out "$work/$1.npy" -q > "$work/log"
    accuracy=$(python3 -c 'import json, sys; print(round(100 * json.load(open(sys.argv[1]))["test_accuracy"], 1))' "$work/$1.json")
}

panel softmax softmax
softmax="softmax|test accuracy $accuracy %"
panel arcface arcface:s=8,m=0.1
arcface="arcface|s = 8, m = 0.1 · test accuracy $accuracy %"
python3 tools/plot_embeddings.py --labels "$data/t10k-labels-idx1-ubyte.gz" --out docs/figures/embeddings.svg \
    --panel "$softmax" "$work/softmax.npy" "$work/softmax/model.safetensors" \
    --panel "$arcface" "$work/arcface.npy" "$work/arcface/model.safetensors"
