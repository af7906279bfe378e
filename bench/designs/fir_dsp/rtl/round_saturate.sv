// SPDX-License-Identifier: Apache-2.0
//
// Drops FRACTION_BITS bits, rounding half up, and clips to OUT_BITS bits.  Combinational.
// IN_BITS must leave room for the carry of the rounding.

`default_nettype none

module round_saturate #(
    parameter integer IN_BITS       = 34,
    parameter integer FRACTION_BITS = 12,
    parameter integer OUT_BITS      = 16
) (
    input  wire signed  [ IN_BITS-1:0] wide,
    output wire signed  [OUT_BITS-1:0] narrow,
    output wire                        saturated
);

  localparam integer WHOLE_BITS = IN_BITS - FRACTION_BITS;
  localparam logic [IN_BITS-1:0] HALF = {{(IN_BITS - 1) {1'b0}}, 1'b1} << (FRACTION_BITS - 1);

  wire [IN_BITS-1:0] rounded = wide + HALF;
  wire [FRACTION_BITS-1:0] unused_fraction = rounded[FRACTION_BITS-1:0];
  wire [WHOLE_BITS-1:0] whole = rounded[IN_BITS-1:FRACTION_BITS];

  // The value fits if every bit above the result repeats the sign of the result.
  wire [WHOLE_BITS-OUT_BITS:0] sign_bits = whole[WHOLE_BITS-1:OUT_BITS-1];

  assign saturated = !(&sign_bits) && |sign_bits;

  assign narrow = saturated ? {whole[WHOLE_BITS-1], {(OUT_BITS - 1) {!whole[WHOLE_BITS-1]}}}
                            : whole[OUT_BITS-1:0];

endmodule

`default_nettype wire
