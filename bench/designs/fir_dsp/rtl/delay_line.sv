// SPDX-License-Identifier: Apache-2.0
//
// The last TAPS samples; word 0 is the newest.  Moves by a whole frame when `shift` is high.
// Reset clears it, so that the first outputs are those of a stream preceded by silence.

`default_nettype none

module delay_line #(
    parameter integer TAPS       = 64,
    parameter integer DECIMATION = 4,
    parameter integer DATA_BITS  = 16
) (
    input  wire                              clk,
    input  wire                              reset,
    input  wire                              shift,
    input  wire  [DECIMATION*DATA_BITS-1:0]  frame,
    output logic [      TAPS*DATA_BITS-1:0]  window
);

  always_ff @(posedge clk) begin
    if (reset) window <= '0;
    else if (shift) window <= {window[(TAPS-DECIMATION)*DATA_BITS-1:0], frame};
  end

endmodule

`default_nettype wire
