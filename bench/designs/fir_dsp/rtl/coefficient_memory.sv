// SPDX-License-Identifier: Apache-2.0
//
// The stored half of a symmetric impulse response, written at run time, one word per cycle.
// All words are readable at once, because every lane looks at its own word in each step.
// There is no reset: the output is meaningless until all WORDS words have been written.

`default_nettype none

module coefficient_memory #(
    parameter integer WORDS      = 32,
    parameter integer WORD_BITS  = 12,
    parameter integer INDEX_BITS = 5
) (
    input  wire                         clk,
    input  wire                         write_enable,
    input  wire  [      INDEX_BITS-1:0] write_index,
    input  wire  [       WORD_BITS-1:0] write_word,
    output logic [WORDS*WORD_BITS-1:0]  words
);

  genvar i;
  generate
    for (i = 0; i < WORDS; i = i + 1) begin : gen_word
      always_ff @(posedge clk) begin
        if (write_enable && write_index == INDEX_BITS'(i)) begin
          words[i*WORD_BITS+:WORD_BITS] <= write_word;
        end
      end
    end
  endgenerate

endmodule

`default_nettype wire
