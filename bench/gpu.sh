#!/usr/bin/env bash
# What the project asks of one CUDA GPU, in one resumable command of under 9 minutes, in the order of worth: Table 5 of
# VGGNet at full width (scale strong, 56 px), its controls of slimming, Table 5 of MRF, then paper 2 (112 px). Records that
# lie in OUT/records are not made again: copy those of reports/records there first.
#
#   bench/gpu.sh fer2013:fer2013.npz OUT [SECONDS]
#
# Of paper 2 three chains run side by side, so that one computes while the others launch, save or cover faces: the pretraining with
# the whole method and its slim networks; the other rows of Table 1; Fig 3. Their times mean nothing. When all have
# ended, every network is timed in a quiet second pass, from the stages that lie in RUNS. A second call goes on where
# the first was stopped.
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
TIMING=${TIMING:-100} # seconds kept for the second pass
END=$((SECONDS + LEFT))
TRAINED=$((END - TIMING))
UNTIMED=$RUNS/untimed
mkdir -p "$OUT" "$RUNS"

step() { # step NAME UNTIL COMMAND...: until then at the latest; a step that fails does not stop the others
    local name=$1 rest=$(($2 - SECONDS)) began=$SECONDS
    shift 2
    if [ "$rest" -lt 5 ]; then
        echo "$name: no time left, call again" >&2
        return
    fi
    timeout "$rest" "$@" >"$OUT/$name.log" 2>&1
    echo "$name: status $? after $((SECONDS - began)) s, at $SECONDS s" >&2
}

report() { # report NAME UNTIL FOLDER ARGUMENTS...: one table; status 1 says that rows of other networks are missing
    local name=$1 until=$2 out=$3
    shift 3
    step "$name" "$until" "$PYTHON" -m bench.report --data "$DATA" --scale "$SCALE" --device "$DEVICE" \
        --runs "$RUNS" --out "$out" "$@"
}

await() { # await STAGE: until a stage of that name is finished, or the trainings must end
    until compgen -G "$RUNS/$1-*/outcome.json" >/dev/null || [ "$SECONDS" -ge "$TRAINED" ]; do sleep 1; done
}

# decoded once, for all that follow
step data "$END" "$PYTHON" -c "
import sys
from pathlib import Path
from bench.make.jobs import Source
Source(data=sys.argv[1], scale=sys.argv[2], runs=Path(sys.argv[3])).job('resnet18', 0)" "$DATA" "$SCALE" "$RUNS"

# a network whole before the next begins; its times are taken while nothing else runs
STRONG=(--scale strong --set width=1.0 tune.epochs=12 control.epochs=2 latency_seconds=1.0 latency_attempts=1 --jobs 6)
[ "$SCALE" = quick ] && STRONG=()
report table5-vggnet $END "$OUT" --table table5 --models vggnet "${STRONG[@]}"
report slimming $END "$OUT" --table slimming --models vggnet "${STRONG[@]}"
report table5-mrf $END "$OUT" --table table5 --models mrf "${STRONG[@]}"

whole_method() {
    report train-slim $TRAINED "$UNTIMED" --table ocl-slim
}
other_rows() {
    report train-resnet18 $TRAINED "$UNTIMED" --table ocl1 --models resnet18
    await contrastive-occluded
    report train-rows $TRAINED "$UNTIMED" --table ocl1 --models ocl-resnet18 ocl-fgw
}
robustness() {
    await ocl-fgw-lgds-dense
    report fig3 $TRAINED "$OUT" --table fig3 --models resnet18 ocl-fgw-lgds
}
whole_method &
other_rows &
robustness &
wait

# what was measured of accuracy stays, the times of the busy GPU do not
step untimed "$END" "$PYTHON" -c "
import sys
from dataclasses import replace
from pathlib import Path
from bench import records
for path in Path(sys.argv[1]).rglob('*.json'):
    one = records.load(path)
    records.save(replace(one, result=one.result | {'latency': {}}), Path(sys.argv[2]))" "$UNTIMED/records" "$OUT/records"
report ocl1 $END "$OUT" --table ocl1
report runtimes $END "$OUT" --table runtimes --models ocl-fgw-lgds
report slim $END "$OUT" --table ocl-slim
report fig4 $END "$OUT" --table fig4 --models ocl-fgw-lgds resnet18
for table in table5 slimming; do
    "$PYTHON" -m bench.report --table $table --data "$DATA" --scale "$SCALE" "${STRONG[@]}" --out "$OUT" --render-only 2>&1 | tail -n 12
done
for table in ocl1 runtimes ocl-slim; do
    "$PYTHON" -m bench.report --table "$table" --data "$DATA" --scale "$SCALE" --out "$OUT" --render-only 2>&1 | tail -n 12
done
