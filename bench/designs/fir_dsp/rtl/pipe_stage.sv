// SPDX-License-Identifier: Apache-2.0
//
// One optional register: `q` is `d` one cycle later if ENABLED, else `d` itself.
// The reset exists for valid flags; a data stage ties it to 0 and synthesis drops it.

`default_nettype none

module pipe_stage #(
    parameter integer WIDTH   = 1,
    parameter integer ENABLED = 1
) (
    input  wire              clk,
    input  wire              reset,
    input  wire  [WIDTH-1:0] d,
    output logic [WIDTH-1:0] q
);

  generate
    if (ENABLED != 0) begin : gen_register
      always_ff @(posedge clk) begin
        if (reset) q <= '0;
        else q <= d;
      end
    end else begin : gen_wire
      wire unused_clock_and_reset = &{1'b0, clk, reset};
      assign q = d;
    end
  endgenerate

endmodule

`default_nettype wire
