#!/bin/sh
# Trains ArcFace on Fashion-MNIST alone, then over ranks of this machine under mpirun, and compares the two models byte for
# byte. Ten classes are one rank's; what four share here is the encoder. DEMO_RANKS (4), DEMO_EPOCHS (1) and DEMO_OUT
# (runs/demo-mpi) change it; MPIRUN names another mpirun.
set -eu

ranks="${DEMO_RANKS:-4}"
out="${DEMO_OUT:-runs/demo-mpi}"
mpirun="${MPIRUN:-mpirun.openmpi}"
# More ranks than cores are welcome here, and so is root, in a container say.
[ "$mpirun" = mpirun.openmpi ] && set -- --oversubscribe || set --
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

train() { # FOLDER [MPIRUN WORD...]
    folder="$1"
    shift
    "$@" build/logitude train --data fashion-mnist --loss arcface:s=16,m=0.2 --encoder mlp:512,512 --dim 128 \
        --epochs "${DEMO_EPOCHS:-1}" --batch 128 --optimizer adamw --lr 1e-3 --no-report --out "$folder"
    echo
}

seconds() {
    sed -n 's/^ *"seconds": \([0-9]*\.[0-9]\{0,2\}\).*/\1/p' "$1/run.json"
}

echo "alone:"
train "$out/alone"
echo "over $ranks ranks:"
train "$out/ranks" "$mpirun" "$@" -n "$ranks"

sha256sum "$out/alone/model.safetensors" "$out/ranks/model.safetensors"
cmp "$out/alone/model.safetensors" "$out/ranks/model.safetensors" || { echo "the models differ"; exit 1; }
echo "the same bytes: $(seconds "$out/alone") s alone, $(seconds "$out/ranks") s over $ranks ranks on $(nproc) cores"
