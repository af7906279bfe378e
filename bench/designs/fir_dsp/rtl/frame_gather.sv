// SPDX-License-Identifier: Apache-2.0
//
// Collects DECIMATION samples into one frame, so that the delay line moves once per output
// and not once per input: new samples arrive here while the lanes still read the old window.
// `frame` holds the newest sample in its lowest word.  A sample can be accepted in the very
// cycle in which a full frame is taken, so gathering never costs a cycle of its own.

`default_nettype none

module frame_gather #(
    parameter integer DECIMATION = 4,
    parameter integer DATA_BITS  = 16
) (
    input  wire                              clk,
    input  wire                              reset,
    input  wire                              s_valid,
    output wire                              s_ready,
    input  wire  [            DATA_BITS-1:0] s_data,
    output wire                              frame_valid,
    input  wire                              frame_taken,
    output logic [DECIMATION*DATA_BITS-1:0]  frame
);

  localparam integer COUNT_BITS = $clog2(DECIMATION + 1);

  logic [COUNT_BITS-1:0] count;
  wire                   accept = s_valid && s_ready;

  assign frame_valid = count == COUNT_BITS'(DECIMATION);
  assign s_ready     = !frame_valid || frame_taken;

  always_ff @(posedge clk) begin
    if (reset) count <= '0;
    else if (frame_taken) count <= COUNT_BITS'(accept);
    else if (accept) count <= count + COUNT_BITS'(1);
  end

  always_ff @(posedge clk) begin
    if (accept) frame <= {frame[(DECIMATION-1)*DATA_BITS-1:0], s_data};
  end

endmodule

`default_nettype wire
