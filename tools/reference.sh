#!/bin/sh
# The reference of the C interface as HTML: reference.sh FOLDER. Fails on any warning; skips (77) without Doxygen.
set -eu

command -v doxygen > /dev/null || { echo "skipped: no doxygen here (on Debian: apt-get install doxygen)" >&2; exit 77; }
folder=${1:?usage: reference.sh FOLDER}
mkdir -p "$folder"
LOGITUDE_REFERENCE=$(cd "$folder" && pwd)
export LOGITUDE_REFERENCE
cd "$(dirname "$0")/.."
doxygen docs/Doxyfile
[ -f "$LOGITUDE_REFERENCE/html/index.html" ]
grep -q "lgt_plan_run" "$LOGITUDE_REFERENCE/html/head_8h.html"
