#!/bin/sh
# The classic picture of the L-Softmax paper (Liu et al., 2016, figure 2) on Fashion-MNIST: two-dimensional features under
# softmax and under L-Softmax with m = 2, 3 and 4. The larger the multiple, the narrower the sector that a class keeps.
#
#   examples/05_classic_picture.sh [FOLDER]      (default: runs/classic; about two minutes on two cores)
#
# Leaves FOLDER/picture.svg and FOLDER/report.html, which compares the four runs. Lambda falls from where the margin does not
# matter to 1 at half of the 4,690 steps: what `logitude lint lsoftmax:m=4 --steps 4690 --target 1` proposes.
set -eu

out=${1:-runs/classic}
data=${LOGITUDE_DATA:-/usr/share/datasets/fashion-mnist}
[ -d "$data" ] || { echo "skipped: Fashion-MNIST is not in $data" >&2; exit 77; }
mkdir -p "$out"

# run NAME LOSS: trains, embeds the test images, and leaves the accuracy in percent in $accuracy
run() {
    echo "training $1: $2"
    build/logitude train --data fashion-mnist --loss "$2" --dim 2 --epochs 10 --out "$out/$1" -q --json > "$out/$1.json"
    build/logitude embed --model "$out/$1/model.safetensors" --data fashion-mnist --out "$out/$1.npy" -q > "$out/$1.log"
    accuracy=$(python3 -c 'import json, sys; print(round(100 * json.load(open(sys.argv[1]))["test_accuracy"], 1))' "$out/$1.json")
}

set -- --labels "$data/t10k-labels-idx1-ubyte.gz" --out "$out/picture.svg"
for panel in "softmax|softmax" "m2|lsoftmax:m=2,lambda=geometric/300/0.99757/1" \
    "m3|lsoftmax:m=3,lambda=geometric/800/0.99715/1" "m4|lsoftmax:m=4,lambda=geometric/1500/0.99689/1"; do
    name=${panel%%|*}
    run "$name" "${panel#*|}"
    case $name in softmax) title=softmax ;; *) title="L-Softmax, m = ${name#m}" ;; esac
    set -- "$@" --panel "$title|test accuracy $accuracy %" "$out/$name.npy" "$out/$name/model.safetensors"
done
python3 tools/plot_embeddings.py "$@"
build/logitude report "$out/softmax" "$out/m2" "$out/m3" "$out/m4" --out "$out/report.html"
