#!/usr/bin/env bash
# What the project asks of one CUDA GPU, in one resumable command of under 9 minutes: full width at 112 px on FER2013.
#
#   bench/gpu.sh fer2013:fer2013.npz OUT [SECONDS]
#
# Two chains of trainings run side by side, so that one computes while the other launches, saves or covers faces: paper
# 2 (pretraining, Table 1, Fig 3), and MRF (Table 5, its runtimes, Fig 3). When both have ended, everything is timed in
# a quiet second pass, from the networks that lie in RUNS. A second call goes on where the first was stopped.
#
# Uses the Python on PATH (torch with CUDA and this project's light dependencies must be importable). Records go to
# OUT/records; copy them unedited below reports/records. SCALE=quick DEVICE=cpu tries the script without a GPU.
set -uo pipefail
cd "$(dirname "$0")/.."
DATA=${1:?name the data set, like fer2013:fer2013.npz}
OUT=${2:?name the folder for records and tables}
LEFT=${3:-520}
SCALE=${SCALE:-gpu}
DEVICE=${DEVICE:-cuda}
PYTHON=${PYTHON:-python3}
RUNS=${RUNS:-reports/runs}
TIMING=${TIMING:-110} # seconds kept for the second pass
END=$((SECONDS + LEFT))
mkdir -p "$OUT" "$RUNS"

step() { # step NAME UNTIL COMMAND...: until then at the latest; a step that fails does not stop the others
    local name=$1 rest=$(($2 - SECONDS)) began=$SECONDS
    shift 2
    if [ "$rest" -lt 5 ]; then
        echo "$name: no time left, call again" >&2
        return
    fi
    timeout "$rest" "$@" >"$OUT/$name.log" 2>&1
    echo "$name: exit $? after $((SECONDS - began)) s" >&2
}

report() { # report NAME UNTIL FOLDER ARGUMENTS...: one table
    local name=$1 until=$2 out=$3
    shift 3
    step "$name" "$until" "$PYTHON" -m bench.report --data "$DATA" --scale "$SCALE" --device "$DEVICE" \
        --runs "$RUNS" --out "$out" "$@"
}

# decoded once, for all that follow
step data "$END" "$PYTHON" -c "
import sys
from bench.jobs import Source
from pathlib import Path
Source(data=sys.argv[1], scale=sys.argv[2], runs=Path(sys.argv[3])).job('resnet18', 0)" "$DATA" "$SCALE" "$RUNS"

TRAINED=$((END - TIMING))
paper2() {
    report train-fig3 $TRAINED "$OUT" --table fig3 --models resnet18 ocl-fgw-lgds
    report train-ocl1 $TRAINED "$RUNS/untimed" --table ocl1
}
mrf() {
    report train-mrf $TRAINED "$RUNS/untimed" --table table5 --models mrf
    report warm-runtimes $TRAINED "$RUNS/untimed" --table runtimes --models mrf
    report train-fig3-mrf $TRAINED "$OUT" --table fig3 --models mrf
}
paper2 &
mrf &
wait

report ocl1 $END "$OUT" --table ocl1
report table5 $END "$OUT" --table table5 --models mrf
report runtimes $END "$OUT" --table runtimes --models mrf
report fig3 $END "$OUT" --table fig3 --models resnet18 ocl-fgw-lgds mrf
for table in ocl1 table5 runtimes fig3; do
    "$PYTHON" -m bench.report --table "$table" --data "$DATA" --scale "$SCALE" --out "$OUT" --render-only 2>&1 | head -40
done
