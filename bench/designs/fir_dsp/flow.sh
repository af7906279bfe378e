#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Compiles, simulates and synthesises one variant of the filter, and reports on it.
#
#   ./flow.sh [STEP...] [KEY=VALUE...]
#
#   steps, in this order: sim synth report (these three if none is named), and apart from them
#   lint (Verilator's and Icarus' warnings are errors), verilator (the same test bench, compiled),
#   gates (the same test bench around the netlist of an earlier synth)
#
#   TAPS=64 DECIMATION=4 MACS=4 DATA_BITS=16 COEFF_BITS=12 PIPELINE=2    the design
#   SNR_MIN_DB=50      the accuracy a variant must reach
#   SAMPLES=4096       length of the test signal
#   CYCLES=50000       length of the simulation, at least
#   VCD=FILE.vcd       dump all signals of the simulation there (2 KB per cycle)
#   BUILD=build        where all output goes; this and VCD are relative to the design's directory
#
# Exit status: 0 passed; 2 not accurate enough (the report says by how much);
# 1 anything else went wrong, wrong results included (no report is left); 64 bad arguments.

set -eu

TAPS=64 DECIMATION=4 MACS=4 DATA_BITS=16 COEFF_BITS=12 PIPELINE=2
SNR_MIN_DB=50 SAMPLES=4096 CYCLES=50000 VCD='' BUILD=build
steps=''

usage_error() {
    echo "flow.sh: $*" >&2
    exit 64
}

read_setting() {
    key=${1%%=*}
    value=${1#*=}
    case $key in
        TAPS | DECIMATION | MACS | DATA_BITS | COEFF_BITS | PIPELINE | \
            SNR_MIN_DB | SAMPLES | CYCLES)
            case $value in
                '' | 0?* | *[!0-9]* | ?????????*)
                    usage_error "$key wants a number, not '$value'"
                    ;;
            esac
            eval "$key=$value"
            ;;
        VCD | BUILD)
            # Yosys scripts split at blanks, so a path with blanks is refused, not mangled.
            case $value in
                '' | -* | *[!A-Za-z0-9._/+@,-]*)
                    usage_error "$key wants a plain path, not '$value'"
                    ;;
            esac
            eval "$key=$value"
            ;;
        *) usage_error "unknown setting $key" ;;
    esac
}

in_range() {
    eval "value=\$$1"
    # shellcheck disable=SC2154  # set by the line above
    [ "$value" -ge "$2" ] && [ "$value" -le "$3" ] || usage_error "$1 must be $2..$3"
}

for argument in "$@"; do
    case $argument in
        *=*) read_setting "$argument" ;;
        sim | synth | report | lint | verilator | gates) steps="$steps $argument" ;;
        *) usage_error "no such step: $argument" ;;
    esac
done

in_range DECIMATION 2 16
in_range TAPS $((DECIMATION + 1 > 4 ? DECIMATION + 1 : 4)) 512
[ $((TAPS % 2)) -eq 0 ] || usage_error "TAPS must be even"
in_range MACS 1 $((TAPS / 2))
in_range DATA_BITS 4 24
in_range COEFF_BITS 4 24
in_range PIPELINE 0 3
in_range SAMPLES $((2 * TAPS)) 1000000

cd -- "$(dirname -- "$0")"
mkdir -p -- "$BUILD"

parameters="TAPS=$TAPS DECIMATION=$DECIMATION MACS=$MACS"
parameters="$parameters DATA_BITS=$DATA_BITS COEFF_BITS=$COEFF_BITS PIPELINE=$PIPELINE"
run_arguments="+coefficients=$BUILD/coefficients.txt +signal=$BUILD/signal.txt"
run_arguments="$run_arguments +cycles=$CYCLES${VCD:+ +vcd=$VCD}"

# Prints the parameters, each with this before its name and that between name and value.
with_parameters() {
    for parameter in $parameters; do
        printf ' %s%s%s%s' "$1" "${parameter%=*}" "$2" "${parameter#*=}"
    done
}

give_up() {
    echo "flow.sh: $1; the end of $2:" >&2
    tail -n 15 -- "$2" >&2
    exit 1
}

# Runs a command with its output in a log; shows the end of the log if the command fails.
logged() {
    log=$1
    shift
    "$@" >"$log" 2>&1 || give_up "$1 failed" "$log"
}

# Prints the verdict of a test bench; vvp can end with status 0 and none, on an unwritable VCD.
expect_pass() {
    grep '^PASS' "$1" || give_up "no PASS" "$1"
}

refuse_warnings() {
    if [ -s "$1" ]; then
        cat -- "$1" >&2
        exit 1
    fi
}

make_vectors() {
    python3 -B scripts/make_vectors.py --taps "$TAPS" --decimation "$DECIMATION" \
        --data-bits "$DATA_BITS" --coeff-bits "$COEFF_BITS" --samples "$SAMPLES" \
        --coefficients "$BUILD/coefficients.txt" --signal "$BUILD/signal.txt"
}

# The steps below leave variables unquoted where they hold several words.
# shellcheck disable=SC2046,SC2086

run_lint() {
    logged "$BUILD/lint.log" verilator --lint-only -Wall --timing --top-module tb_fir_decimator \
        $(with_parameters -G =) tb/tb_fir_decimator.sv rtl/*.sv
    logged "$BUILD/lint.log" iverilog -g2012 -Wall -t null \
        $(with_parameters -Ptb_fir_decimator. =) -s tb_fir_decimator tb/tb_fir_decimator.sv rtl/*.sv
    refuse_warnings "$BUILD/lint.log"
    echo "lint: no warnings"
}

run_sim() {
    make_vectors
    logged "$BUILD/compile.log" iverilog -g2012 -Wall $(with_parameters -Ptb_fir_decimator. =) \
        -s tb_fir_decimator -o "$BUILD/sim.vvp" tb/tb_fir_decimator.sv rtl/*.sv
    cat -- "$BUILD/compile.log" >&2
    logged "$BUILD/sim.log" vvp -n "$BUILD/sim.vvp" $run_arguments "+outputs=$BUILD/outputs.txt"
    expect_pass "$BUILD/sim.log"
}

run_synth() {
    cat >"$BUILD/synth.ys" <<EOF
read_verilog -sv $(echo rtl/*.sv)
hierarchy -check -top fir_decimator$(with_parameters '-chparam ' ' ')
rename -top fir_decimator
synth -flatten -top fir_decimator
check -assert
tee -q -o $BUILD/stat.json stat -json
tee -q -o $BUILD/levels.txt ltp -noff
write_json $BUILD/netlist.json
write_verilog -noattr $BUILD/netlist.v
EOF
    logged "$BUILD/synth.log" yosys -T "$BUILD/synth.ys"
}

run_report() {
    python3 -B scripts/write_report.py "$BUILD" --snr-min-db "$SNR_MIN_DB" $parameters
}

run_verilator() {
    make_vectors
    # Warnings are the business of lint; a newer Verilator's taste must not stop a sound model.
    logged "$BUILD/verilator.log" verilator --binary --trace -Wno-fatal $(with_parameters -G =) \
        --top-module tb_fir_decimator -Mdir "$BUILD/verilator" -o sim \
        tb/tb_fir_decimator.sv rtl/*.sv
    logged "$BUILD/verilator_sim.log" "$BUILD/verilator/sim" $run_arguments
    expect_pass "$BUILD/verilator_sim.log"
}

run_gates() {
    make_vectors
    logged "$BUILD/gates_compile.log" iverilog -g2012 -DGATES \
        $(with_parameters -Ptb_fir_decimator. =) -s tb_fir_decimator -o "$BUILD/gates.vvp" \
        tb/tb_fir_decimator.sv "$BUILD/netlist.v"
    logged "$BUILD/gates_sim.log" vvp -n "$BUILD/gates.vvp" $run_arguments
    expect_pass "$BUILD/gates_sim.log"
}

case ${steps:=sim synth report} in
    *sim* | *synth* | *report*) rm -f -- "$BUILD/report.json" ;;
esac
for step in $steps; do
    "run_$step"
done
