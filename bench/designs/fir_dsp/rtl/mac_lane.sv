// SPDX-License-Identifier: Apache-2.0
//
// One folded multiplier: in each step it adds the two samples that share a coefficient and
// multiplies their sum by it.  `early`, `late` and `coefficients` hold one word per step, word 0
// for step 0; `step` is one-hot, and all zero when idle, which makes the product zero.
//
// Latency in cycles: (PIPELINE >= 1) + (PIPELINE >= 2).

`default_nettype none

module mac_lane #(
    parameter integer STEPS      = 8,
    parameter integer DATA_BITS  = 16,
    parameter integer COEFF_BITS = 12,
    parameter integer PIPELINE   = 2
) (
    input  wire                                   clk,
    input  wire         [              STEPS-1:0] step,
    input  wire         [    STEPS*DATA_BITS-1:0] early,
    input  wire         [    STEPS*DATA_BITS-1:0] late,
    input  wire         [   STEPS*COEFF_BITS-1:0] coefficients,
    output logic signed [DATA_BITS+COEFF_BITS:0]  product
);

  localparam integer SUM_BITS = DATA_BITS + 1;
  localparam integer PRODUCT_BITS = SUM_BITS + COEFF_BITS;

  logic [ DATA_BITS-1:0] early_now;
  logic [ DATA_BITS-1:0] late_now;
  logic [COEFF_BITS-1:0] coefficient_now;

  always_comb begin
    early_now       = '0;
    late_now        = '0;
    coefficient_now = '0;
    for (int s = 0; s < STEPS; s = s + 1) begin
      early_now       = early_now | (early[s*DATA_BITS+:DATA_BITS] & {DATA_BITS{step[s]}});
      late_now        = late_now | (late[s*DATA_BITS+:DATA_BITS] & {DATA_BITS{step[s]}});
      coefficient_now = coefficient_now
                      | (coefficients[s*COEFF_BITS+:COEFF_BITS] & {COEFF_BITS{step[s]}});
    end
  end

  // One bit wider than a sample, so the folded sum cannot overflow.
  wire [SUM_BITS-1:0] sum = {early_now[DATA_BITS-1], early_now} + {late_now[DATA_BITS-1], late_now};

  wire signed [  SUM_BITS-1:0] sum_staged;
  wire signed [COEFF_BITS-1:0] coefficient_staged;

  pipe_stage #(
      .WIDTH  (SUM_BITS + COEFF_BITS),
      .ENABLED(PIPELINE >= 1 ? 1 : 0)
  ) operand_stage (
      .clk  (clk),
      .reset(1'b0),
      .d    ({sum, coefficient_now}),
      .q    ({sum_staged, coefficient_staged})
  );

  wire signed [PRODUCT_BITS-1:0] product_now = PRODUCT_BITS'(sum_staged)
                                             * PRODUCT_BITS'(coefficient_staged);

  pipe_stage #(
      .WIDTH  (PRODUCT_BITS),
      .ENABLED(PIPELINE >= 2 ? 1 : 0)
  ) product_stage (
      .clk  (clk),
      .reset(1'b0),
      .d    (product_now),
      .q    (product)
  );

endmodule

`default_nettype wire
