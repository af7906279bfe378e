// SPDX-License-Identifier: Apache-2.0
//
// A decimating FIR filter with a symmetric impulse response of run-time coefficients.
//
//   y[n] = saturate(round(sum over k of h[k] * x[DECIMATION*n + DECIMATION-1 - k]))
//   h[k] = h[TAPS-1-k], stored with COEFF_BITS fraction bits: a word of 2^(COEFF_BITS-2) is 1/4
//
// Only the first TAPS/2 coefficients are stored; MACS folded multipliers work through them in
// STEPS = ceil(TAPS / 2 / MACS) cycles.  A sample therefore costs max(1, STEPS/DECIMATION) cycles.
//
// Streams: a word moves in each cycle in which valid and ready are both high.  An offered
// output stays as it is until taken.  Coefficients must not change while samples are in flight.
//
// TAPS is even, at least 4 and greater than DECIMATION; DECIMATION >= 2; MACS <= TAPS/2.

`default_nettype none

module fir_decimator #(
    parameter integer TAPS       = 64,  // length of the impulse response: stop-band attenuation
    parameter integer DECIMATION = 4,   // input samples per output sample
    parameter integer MACS       = 4,   // folded multipliers working in parallel
    parameter integer DATA_BITS  = 16,  // width of input and output samples, signed
    parameter integer COEFF_BITS = 12,  // width of a coefficient, signed
    parameter integer PIPELINE   = 2    // 0..3 register stages between delay line and accumulator
) (
    input wire clk,
    input wire reset,

    input wire                        coeff_valid,
    input wire [$clog2(TAPS/2)-1:0]   coeff_index,
    input wire [    COEFF_BITS-1:0]   coeff_word,

    input  wire                 s_valid,
    output wire                 s_ready,
    input  wire [DATA_BITS-1:0] s_data,

    output wire                 m_valid,
    input  wire                 m_ready,
    output wire [DATA_BITS-1:0] m_data,
    output wire                 m_saturated
);

  localparam integer PAIRS = TAPS / 2;
  localparam integer STEPS = (PAIRS + MACS - 1) / MACS;
  localparam integer FIFO_DEPTH = 4;
  localparam integer PRODUCT_BITS = DATA_BITS + 1 + COEFF_BITS;
  // The largest product, all factors at their lowest, is 2^(PRODUCT_BITS-2): half of what its bits
  // can hold, so PAIRS of them leave room for the carry of the rounding too.
  localparam integer SUM_BITS = PRODUCT_BITS + $clog2(PAIRS);

  wire [ PAIRS*COEFF_BITS-1:0]      coefficients;
  wire [DECIMATION*DATA_BITS-1:0]   frame;
  wire [ TAPS*DATA_BITS-1:0]        window;
  wire                              frame_valid;
  wire                              frame_taken;
  wire [ STEPS-1:0]                 step;
  wire                              active;
  wire                              first;
  wire                              last;

  coefficient_memory #(
      .WORDS     (PAIRS),
      .WORD_BITS (COEFF_BITS),
      .INDEX_BITS($clog2(PAIRS))
  ) coefficient_memory_i (
      .clk         (clk),
      .write_enable(coeff_valid),
      .write_index (coeff_index),
      .write_word  (coeff_word),
      .words       (coefficients)
  );

  frame_gather #(
      .DECIMATION(DECIMATION),
      .DATA_BITS (DATA_BITS)
  ) frame_gather_i (
      .clk        (clk),
      .reset      (reset),
      .s_valid    (s_valid),
      .s_ready    (s_ready),
      .s_data     (s_data),
      .frame_valid(frame_valid),
      .frame_taken(frame_taken),
      .frame      (frame)
  );

  delay_line #(
      .TAPS      (TAPS),
      .DECIMATION(DECIMATION),
      .DATA_BITS (DATA_BITS)
  ) delay_line_i (
      .clk   (clk),
      .reset (reset),
      .shift (frame_taken),
      .frame (frame),
      .window(window)
  );

  step_sequencer #(
      .STEPS  (STEPS),
      .CREDITS(FIFO_DEPTH)
  ) step_sequencer_i (
      .clk            (clk),
      .reset          (reset),
      .frame_valid    (frame_valid),
      .frame_taken    (frame_taken),
      .result_consumed(m_valid && m_ready),
      .step           (step),
      .active         (active),
      .first          (first),
      .last           (last)
  );

  // Pair k of the fold goes to lane k % MACS in step k / MACS; places beyond the last pair read 0.
  wire [MACS*PRODUCT_BITS-1:0] products;

  genvar lane, s;
  generate
    for (lane = 0; lane < MACS; lane = lane + 1) begin : gen_lane
      wire [ STEPS*DATA_BITS-1:0] early;
      wire [ STEPS*DATA_BITS-1:0] late;
      wire [STEPS*COEFF_BITS-1:0] words;

      for (s = 0; s < STEPS; s = s + 1) begin : gen_step
        localparam integer PAIR = s * MACS + lane;
        if (PAIR < PAIRS) begin : gen_pair
          assign early[s*DATA_BITS+:DATA_BITS]   = window[PAIR*DATA_BITS+:DATA_BITS];
          assign late[s*DATA_BITS+:DATA_BITS]    = window[(TAPS-1-PAIR)*DATA_BITS+:DATA_BITS];
          assign words[s*COEFF_BITS+:COEFF_BITS] = coefficients[PAIR*COEFF_BITS+:COEFF_BITS];
        end else begin : gen_nothing
          assign early[s*DATA_BITS+:DATA_BITS]   = '0;
          assign late[s*DATA_BITS+:DATA_BITS]    = '0;
          assign words[s*COEFF_BITS+:COEFF_BITS] = '0;
        end
      end

      mac_lane #(
          .STEPS     (STEPS),
          .DATA_BITS (DATA_BITS),
          .COEFF_BITS(COEFF_BITS),
          .PIPELINE  (PIPELINE)
      ) mac_lane_i (
          .clk         (clk),
          .step        (step),
          .early       (early),
          .late        (late),
          .coefficients(words),
          .product     (products[lane*PRODUCT_BITS+:PRODUCT_BITS])
      );
    end
  endgenerate

  logic signed [SUM_BITS-1:0] lane_sum;

  always_comb begin
    lane_sum = '0;
    for (int l = 0; l < MACS; l = l + 1) begin
      lane_sum = lane_sum + SUM_BITS'($signed(products[l*PRODUCT_BITS+:PRODUCT_BITS]));
    end
  end

  wire signed [SUM_BITS-1:0] lane_sum_staged;

  pipe_stage #(
      .WIDTH  (SUM_BITS),
      .ENABLED(PIPELINE >= 3 ? 1 : 0)
  ) lane_sum_stage (
      .clk  (clk),
      .reset(1'b0),
      .d    (lane_sum),
      .q    (lane_sum_staged)
  );

  // The flags of a step travel beside its products.
  wire [3*4-1:0] flags;

  assign flags[2:0] = {active, first, last};

  generate
    for (s = 1; s <= 3; s = s + 1) begin : gen_flag_stage
      pipe_stage #(
          .WIDTH  (3),
          .ENABLED(PIPELINE >= s ? 1 : 0)
      ) flag_stage (
          .clk  (clk),
          .reset(reset),
          .d    (flags[(s-1)*3+:3]),
          .q    (flags[s*3+:3])
      );
    end
  endgenerate

  wire                        sum_active = flags[11];
  wire                        sum_first = flags[10];
  wire                        sum_last = flags[9];
  logic signed [SUM_BITS-1:0] accumulator;
  logic                       result_valid;

  always_ff @(posedge clk) begin
    if (sum_active) accumulator <= lane_sum_staged + (sum_first ? '0 : accumulator);
  end

  always_ff @(posedge clk) begin
    if (reset) result_valid <= 1'b0;
    else result_valid <= sum_last;
  end

  wire [DATA_BITS-1:0] result;
  wire                 result_saturated;

  round_saturate #(
      .IN_BITS      (SUM_BITS),
      .FRACTION_BITS(COEFF_BITS),
      .OUT_BITS     (DATA_BITS)
  ) round_saturate_i (
      .wide     (accumulator),
      .narrow   (result),
      .saturated(result_saturated)
  );

  result_fifo #(
      .DEPTH    (FIFO_DEPTH),
      .WORD_BITS(DATA_BITS + 1)
  ) result_fifo_i (
      .clk         (clk),
      .reset       (reset),
      .write_enable(result_valid),
      .write_word  ({result_saturated, result}),
      .m_valid     (m_valid),
      .m_ready     (m_ready),
      .m_word      ({m_saturated, m_data})
  );

endmodule

`default_nettype wire
