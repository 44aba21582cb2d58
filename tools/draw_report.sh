#!/bin/sh
# The picture of a report in the README: trains for a minute, and takes a part of the page with Chromium.
#   draw_report.sh [PICTURE [FIRST_LINE HEIGHT]]     (default: docs/figures/report_angles.png 1262 988, in pixels of the page)
set -eu

cd "$(dirname "$0")/.."
picture=${1:-docs/figures/report_angles.png} first=${2:-1262} height=${3:-988}
command -v chromium > /dev/null || { echo "no chromium here (on Debian: apt-get install chromium)" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build/logitude train --data fashion-mnist --loss arcface:s=16,m=0.5 --encoder mlp:256 --dim 64 --epochs 5 --out "$work" -q > "$work/log"
cat > "$work/window.html" << END # a frame that is higher than the window, and begins above it
<body style="margin: 0; overflow: hidden"><iframe src="report.html#light" scrolling="no"
style="position: absolute; top: -${first}px; border: 0; width: 1240px; height: $((first + height))px"></iframe>
END
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size="1240,$height" --virtual-time-budget=5000 \
    --screenshot="$work/picture.png" "file://$work/window.html" 2> "$work/log"
mv "$work/picture.png" "$picture"
