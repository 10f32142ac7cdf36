#!/usr/bin/env bash
# Everything that the project asks of one CUDA GPU, in order of worth, in one resumable command of under 9 minutes.
#
#   bench/gpu.sh fer2013:fer2013.npz OUT [SECONDS]
#
# Uses the Python on PATH (torch with CUDA and this project's light dependencies must be importable). Trained networks
# stay in reports/runs, so a second call on the same machine goes on where the first was stopped. Records go to
# OUT/records; copy them unedited below reports/records. SCALE=quick DEVICE=cpu tries the script without a GPU.
set -uo pipefail
cd "$(dirname "$0")/.."
DATA=${1:?name the data set, like fer2013:fer2013.npz}
OUT=${2:?name the folder for records and tables}
LEFT=${3:-520}
SCALE=${SCALE:-gpu}
DEVICE=${DEVICE:-cuda}
PYTHON=${PYTHON:-python3}
END=$((SECONDS + LEFT))

step() { # step NAME COMMAND...: runs it in what is left of the time; a step that fails does not stop the others
    local name=$1
    shift
    local rest=$((END - SECONDS))
    if [ "$rest" -lt 10 ]; then
        echo "$name: no time left, call again" >&2
        return
    fi
    timeout "$rest" "$@" >"$OUT/$name.log" 2>&1
    echo "$name: exit $? after $SECONDS s" >&2
}

mkdir -p "$OUT"
report=("$PYTHON" -m bench.report --data "$DATA" --scale "$SCALE" --device "$DEVICE" --out "$OUT")
# the first thing to know: does an engine of TensorRT for RTX load on this GPU? Its last line says so
step rtx "$PYTHON" -m compress.export fermodels/demo --runtime tensorrt-rtx --precision fp16 --out "$OUT/rtx"
tail -n 1 "$OUT/rtx.log" >&2
step mrf "${report[@]}" --models mrf
step runtimes-mrf "${report[@]}" --table runtimes --models mrf
step vggnet "${report[@]}" --models vggnet
step runtimes-vggnet "${report[@]}" --table runtimes --models vggnet
step table4 "${report[@]}" --table table4
step ocl1 "${report[@]}" --table ocl1
step fig3 "${report[@]}" --table fig3
step seeds "${report[@]}" --table table1 --models mrf vggnet --seeds 3
for table in table5 runtimes table4 ocl1 fig3 table1; do
    "$PYTHON" -m bench.report --table "$table" --data "$DATA" --scale "$SCALE" --out "$OUT" --render-only
done
