// SPDX-License-Identifier: Apache-2.0
//
// A small FIFO of registers with the oldest word at the output.  The writer must know that
// there is room (the sequencer's credits do); there is no full flag to ask.

`default_nettype none

module result_fifo #(
    parameter integer DEPTH     = 4,
    parameter integer WORD_BITS = 17
) (
    input  wire                 clk,
    input  wire                 reset,
    input  wire                 write_enable,
    input  wire [WORD_BITS-1:0] write_word,
    output wire                 m_valid,
    input  wire                 m_ready,
    output wire [WORD_BITS-1:0] m_word
);

  localparam integer INDEX_BITS = $clog2(DEPTH);

  logic [      INDEX_BITS-1:0] head;
  logic [      INDEX_BITS-1:0] tail;
  logic [        INDEX_BITS:0] count;
  logic [DEPTH*WORD_BITS-1:0]  words;

  wire read_enable = m_valid && m_ready;

  assign m_valid = count != '0;
  assign m_word  = words[head*WORD_BITS+:WORD_BITS];

  always_ff @(posedge clk) begin
    if (reset) begin
      head  <= '0;
      tail  <= '0;
      count <= '0;
    end else begin
      if (read_enable) head <= head + INDEX_BITS'(1);
      if (write_enable) tail <= tail + INDEX_BITS'(1);
      if (write_enable && !read_enable) count <= count + (INDEX_BITS + 1)'(1);
      if (!write_enable && read_enable) count <= count - (INDEX_BITS + 1)'(1);
    end
  end

  genvar i;
  generate
    for (i = 0; i < DEPTH; i = i + 1) begin : gen_word
      always_ff @(posedge clk) begin
        if (write_enable && tail == INDEX_BITS'(i)) begin
          words[i*WORD_BITS+:WORD_BITS] <= write_word;
        end
      end
    end
  endgenerate

endmodule

`default_nettype wire
