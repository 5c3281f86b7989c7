# Sourced by the scripts beside it: where things are, for all of them alike.
#
#   QUIPU_CACHE      what is fetched once and outlives a clone; default ~/.cache/quipu
#   ORT_DYLIB_PATH   the ONNX Runtime library; default the one that `make setup` puts into the cache

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export QUIPU_CACHE=${QUIPU_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/quipu}
ONNXRUNTIME_VERSION=$(sed -n 's/^onnxruntime==\([0-9.]*\).*/\1/p' "$ROOT/scripts/onnxruntime.txt")
case $(uname -s) in
    Darwin) ONNXRUNTIME_FILE=libonnxruntime.dylib ;;
    *) ONNXRUNTIME_FILE=libonnxruntime.so ;;
esac
ONNXRUNTIME_DIR=$QUIPU_CACHE/onnxruntime/$ONNXRUNTIME_VERSION
export ORT_DYLIB_PATH=${ORT_DYLIB_PATH:-$ONNXRUNTIME_DIR/$ONNXRUNTIME_FILE}

# Escape sequences only where somebody can see them.
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    BOLD=$'\033[1m' RED=$'\033[31;1m' PLAIN=$'\033[0m'
else
    BOLD='' RED='' PLAIN=''
fi

fail() {
    echo "${RED}$*${PLAIN}" >&2
    exit 1
}

# need COMMAND WHY: stops with a sentence where a command is missing.
need() {
    command -v "$1" >/dev/null || fail "$1 is needed $2, and is not on the PATH"
}
