// SPDX-License-Identifier: Apache-2.0
//
// Decides when a frame is taken and walks through the STEPS steps of its sum.
//
// Back-pressure is by credit: a frame is taken only if the result it will become has a place
// in the output FIFO.  The arithmetic behind the sequencer therefore never stalls and needs no
// enable, which keeps the ready path short whatever the pipeline depth is.
//
// `step` is one-hot, so the lanes select operands with AND-OR and no decoder.

`default_nettype none

module step_sequencer #(
    parameter integer STEPS   = 8,
    parameter integer CREDITS = 4
) (
    input  wire              clk,
    input  wire              reset,
    input  wire              frame_valid,
    output wire              frame_taken,
    input  wire              result_consumed,
    output logic [STEPS-1:0] step,
    output wire              active,
    output wire              first,
    output wire              last
);

  localparam integer CREDIT_BITS = $clog2(CREDITS + 1);

  logic [CREDIT_BITS-1:0] outstanding;

  assign active      = |step;
  assign first       = step[0];
  assign last        = step[STEPS-1];
  assign frame_taken = frame_valid && (last || !active) && outstanding != CREDIT_BITS'(CREDITS);

  generate
    if (STEPS == 1) begin : gen_single_step
      always_ff @(posedge clk) begin
        if (reset) step <= '0;
        else step <= frame_taken;
      end
    end else begin : gen_many_steps
      always_ff @(posedge clk) begin
        if (reset) step <= '0;
        else step <= {step[STEPS-2:0], frame_taken};
      end
    end
  endgenerate

  always_ff @(posedge clk) begin
    if (reset) outstanding <= '0;
    else if (frame_taken && !result_consumed) outstanding <= outstanding + CREDIT_BITS'(1);
    else if (!frame_taken && result_consumed) outstanding <= outstanding - CREDIT_BITS'(1);
  end

endmodule

`default_nettype wire
