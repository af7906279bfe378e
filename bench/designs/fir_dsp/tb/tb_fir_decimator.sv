// SPDX-License-Identifier: Apache-2.0
//
// Self-checking test bench: every output is compared, bit for bit, with the sum written out in
// the header of fir_decimator.sv (all taps, no folding, no steps, no pipeline).
//
// Phases:  1 the signal from a file, no gaps: throughput, and the outputs for the SNR
//          2 full-scale samples with the signs of the coefficients: both limits of saturation
//          3 random samples, random gaps at the input, random stalls at the output
//          4 the lowest possible coefficients, loaded into the running design, then as 2: the
//            largest sum that the accumulator must hold
//          5 random coefficients, then as 3 until +cycles=N
//
// The random numbers are our own xorshift32, so that every simulator sees the same stimulus.
//
// Plusargs: +coefficients=FILE +signal=FILE   decimal numbers, one per line (required)
//           +outputs=FILE                     writes the outputs of phase 1
//           +cycles=N                         runs phase 5 until cycle N (default 50000)
//           +vcd=FILE                         dumps every signal of the run
//
// Prints one line of KEY=VALUE results and a line PASS or FAIL; a FAIL ends with $fatal.

`default_nettype none

module tb_fir_decimator;

  parameter integer TAPS = 64;
  parameter integer DECIMATION = 4;
  parameter integer MACS = 4;
  parameter integer DATA_BITS = 16;
  parameter integer COEFF_BITS = 12;
  parameter integer PIPELINE = 2;

  localparam integer PAIRS = TAPS / 2;
  localparam integer INDEX_BITS = $clog2(PAIRS);
  localparam integer HISTORY = 1024;  // samples remembered for the golden sum: > TAPS
  localparam integer EXPECTED = 64;  // results awaited at once: > the 4 credits of the design
  localparam integer STALL_CYCLES_MAX = 10000;
  localparam integer REPORTED_MAX = 5;

  localparam longint SAMPLE_MAX = (64'sd1 << (DATA_BITS - 1)) - 64'sd1;
  localparam longint SAMPLE_MIN = -SAMPLE_MAX - 64'sd1;
  localparam logic signed [DATA_BITS-1:0] FULL_HIGH = {1'b0, {(DATA_BITS - 1) {1'b1}}};
  localparam logic signed [DATA_BITS-1:0] FULL_LOW = {1'b1, {(DATA_BITS - 1) {1'b0}}};
  localparam logic signed [COEFF_BITS-1:0] COEFF_LOW = {1'b1, {(COEFF_BITS - 1) {1'b0}}};

  // ---------------------------------------------------------------- design under test

  logic                   clk;
  logic                   reset;
  logic                   coeff_valid;
  logic [ INDEX_BITS-1:0] coeff_index;
  logic [ COEFF_BITS-1:0] coeff_word;
  logic                   s_valid;
  wire                    s_ready;
  logic [  DATA_BITS-1:0] s_data;
  wire                    m_valid;
  logic                   m_ready;
  wire  [  DATA_BITS-1:0] m_data;
  wire                    m_saturated;

`ifdef GATES
  fir_decimator dut (  // the netlist: its parameters are already settled
`else
  fir_decimator #(
      .TAPS      (TAPS),
      .DECIMATION(DECIMATION),
      .MACS      (MACS),
      .DATA_BITS (DATA_BITS),
      .COEFF_BITS(COEFF_BITS),
      .PIPELINE  (PIPELINE)
  ) dut (
`endif
      .clk        (clk),
      .reset      (reset),
      .coeff_valid(coeff_valid),
      .coeff_index(coeff_index),
      .coeff_word (coeff_word),
      .s_valid    (s_valid),
      .s_ready    (s_ready),
      .s_data     (s_data),
      .m_valid    (m_valid),
      .m_ready    (m_ready),
      .m_data     (m_data),
      .m_saturated(m_saturated)
  );

  initial begin
    clk = 1'b0;
    forever #1 clk = !clk;
  end

  // ---------------------------------------------------------------- golden model

  logic signed [63:0] coefficients[0:TAPS-1];
  logic signed [DATA_BITS-1:0] history[0:HISTORY-1];
  integer accepted;  // samples taken by the design, by its handshake

  // Returns the filter sum with `newest` as the sample after those in the history, rounded.
  function automatic longint golden_sum(input logic signed [DATA_BITS-1:0] newest);
    longint sum;
    sum = coefficients[0] * longint'(newest);
    for (int k = 1; k < TAPS; k = k + 1) begin
      if (accepted >= k) begin
        sum = sum + coefficients[k] * longint'(history[(accepted-k)%HISTORY]);
      end
    end
    return (sum + (64'sd1 << (COEFF_BITS - 1))) >>> COEFF_BITS;
  endfunction

  // ---------------------------------------------------------------- scoreboard

  logic signed [63:0] expected[0:EXPECTED-1];  // before saturation
  integer expected_count;
  integer checked_count;
  integer mismatch_count;
  integer protocol_error_count;
  integer high_count;  // outputs at the upper limit, as the golden model says
  integer low_count;
  integer cycle;
  integer last_move_cycle;
  integer input_stall_count;
  integer output_stall_count;
  integer outputs_file;
  integer first_output_cycle;  // of phase 1
  integer last_output_cycle;
  integer recorded_count;
  logic   is_recording;

  wire signed [63:0] wanted;
  wire signed [63:0] wanted_clipped;

  assign wanted = expected[checked_count%EXPECTED];
  assign wanted_clipped = wanted > SAMPLE_MAX ? SAMPLE_MAX
                        : wanted < SAMPLE_MIN ? SAMPLE_MIN : wanted;

  wire is_match = longint'($signed(m_data)) == wanted_clipped
               && m_saturated == (wanted != wanted_clipped)
               && checked_count < expected_count;

  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (s_valid && s_ready) begin
      history[accepted%HISTORY] <= s_data;
      accepted <= accepted + 1;
      if (accepted % DECIMATION == DECIMATION - 1) begin
        expected[expected_count%EXPECTED] <= golden_sum(s_data);
        expected_count <= expected_count + 1;
      end
    end
    if (m_valid && m_ready) begin
      checked_count <= checked_count + 1;
      if (!is_match) begin
        mismatch_count <= mismatch_count + 1;
        if (mismatch_count < REPORTED_MAX) begin
          $display("mismatch: cycle %0d output %0d is %0d saturated %b, expected %0d from %0d",
                   cycle, checked_count, $signed(m_data), m_saturated, wanted_clipped, wanted);
        end
      end
      if (wanted > SAMPLE_MAX) high_count <= high_count + 1;
      if (wanted < SAMPLE_MIN) low_count <= low_count + 1;
      if (is_recording) begin
        if (recorded_count == 0) first_output_cycle <= cycle;
        last_output_cycle <= cycle;
        recorded_count <= recorded_count + 1;
        if (outputs_file != 0) $fdisplay(outputs_file, "%0d", $signed(m_data));
      end
    end
    if (s_valid && !s_ready) input_stall_count <= input_stall_count + 1;
    if (m_valid && !m_ready) output_stall_count <= output_stall_count + 1;
    if (reset || (s_valid && s_ready) || (m_valid && m_ready)) last_move_cycle <= cycle;
  end

  // An offered output must stay as it is until it is taken, and valid must never be unknown.
  logic                 was_waiting;
  logic [DATA_BITS-1:0] was_data;

  always @(posedge clk) begin
    was_waiting <= !reset && m_valid && !m_ready;
    was_data    <= m_data;
    if (!reset) begin
      if ((m_valid !== 1'b0 && m_valid !== 1'b1) || (s_ready !== 1'b0 && s_ready !== 1'b1)
          || (was_waiting && (!m_valid || m_data != was_data))) begin
        protocol_error_count <= protocol_error_count + 1;
      end
    end
  end

  always @(posedge clk) begin
    if (!reset && cycle - last_move_cycle > STALL_CYCLES_MAX) begin
      $display("FAIL: nothing moved for %0d cycles", STALL_CYCLES_MAX);
      $fatal(1, "the design hangs");
    end
  end

  // ---------------------------------------------------------------- random stalls at the output

  function automatic logic [31:0] xorshift32(input logic [31:0] state);
    logic [31:0] x;
    x = state;
    x = x ^ (x << 13);
    x = x ^ (x >> 17);
    x = x ^ (x << 5);
    return x;
  endfunction

  logic [31:0] ready_random;
  logic        is_stalling;

  // 256 cycles always ready, 256 ready in one of two, 256 ready in one of sixteen, and again.
  always @(posedge clk) begin
    ready_random <= xorshift32(ready_random);
    case (cycle[9:8])
      2'd0: m_ready <= 1'b1;
      2'd1: m_ready <= !is_stalling || ready_random[0];
      default: m_ready <= !is_stalling || ready_random[3:0] == 4'd0;
    endcase
  end

  // ---------------------------------------------------------------- stimulus

  // Inputs change at the falling edge, so nothing here races with the design or the scoreboard.

  logic [31:0] random;

  task automatic load_coefficient(input integer index, input logic signed [COEFF_BITS-1:0] value);
    coeff_valid = 1'b1;
    coeff_index = INDEX_BITS'(index);
    coeff_word  = value;
    coefficients[index] = 64'(value);
    coefficients[TAPS-1-index] = 64'(value);
    @(negedge clk);
    coeff_valid = 1'b0;
  endtask

  task automatic send(input logic signed [DATA_BITS-1:0] sample);
    integer already;
    already = accepted;
    s_valid = 1'b1;
    s_data  = sample;
    @(negedge clk);
    while (accepted == already) @(negedge clk);
    s_valid = 1'b0;
  endtask

  // Waits until every output that the accepted samples owe has been checked.
  task automatic drain;
    while (checked_count != accepted / DECIMATION) @(negedge clk);
  endtask

  task automatic send_random_gap;
    random = xorshift32(random);
    if (random[31]) repeat (32'(random[30:29])) @(negedge clk);
  endtask

  // Sends random samples, one in four of them at full scale, until cycle `end_cycle`.
  task automatic send_random(input integer end_cycle);
    is_stalling = 1'b1;
    while (cycle < end_cycle) begin
      send_random_gap;
      random = xorshift32(random);
      if (random[1:0] == 2'd0) send(random[2] ? FULL_HIGH : FULL_LOW);
      else send($signed(random[31-:DATA_BITS]));
    end
    is_stalling = 1'b0;
  endtask

  // The worst case for the sum: each sample at full scale, with the sign of its coefficient.
  task automatic send_saturating;
    for (int burst = 0; burst < 4; burst = burst + 1) begin
      while (accepted % DECIMATION != 0) send('0);
      for (int i = 0; i < DECIMATION * ((TAPS + DECIMATION - 1) / DECIMATION); i = i + 1) begin
        if ((coefficients[i%TAPS] < 0) == (burst % 2 == 0)) send(FULL_LOW);
        else send(FULL_HIGH);
      end
    end
  endtask

  task automatic read_and_load_coefficients(input string path);
    integer file;
    logic signed [COEFF_BITS-1:0] value;
    file = $fopen(path, "r");
    if (file == 0) $fatal(1, "cannot read the coefficients");
    for (int i = 0; i < PAIRS; i = i + 1) begin
      if ($fscanf(file, "%d\n", value) != 1) $fatal(1, "too few coefficients");
      load_coefficient(i, value);
    end
    $fclose(file);
  endtask

  task automatic send_signal(input string path);
    integer file;
    logic signed [DATA_BITS-1:0] value;
    file = $fopen(path, "r");
    if (file == 0) $fatal(1, "cannot read the signal");
    while ($fscanf(file, "%d\n", value) == 1) send(value);
    $fclose(file);
  endtask

  string  coefficients_path;
  string  signal_path;
  string  outputs_path;
  string  vcd_path;
  integer cycles;
  logic   is_pass;

  initial begin
    if ($value$plusargs("vcd=%s", vcd_path)) begin
      $dumpfile(vcd_path);
      $dumpvars(0, tb_fir_decimator);
    end
    if (!$value$plusargs("cycles=%d", cycles)) cycles = 50000;
    if (!$value$plusargs("coefficients=%s", coefficients_path)) $fatal(1, "no +coefficients=");
    if (!$value$plusargs("signal=%s", signal_path)) $fatal(1, "no +signal=");
    outputs_file = 0;
    if ($value$plusargs("outputs=%s", outputs_path)) begin
      outputs_file = $fopen(outputs_path, "w");
      if (outputs_file == 0) $fatal(1, "cannot write the outputs");
    end

    reset                = 1'b1;
    coeff_valid          = 1'b0;
    coeff_index          = '0;
    coeff_word           = '0;
    s_valid              = 1'b0;
    s_data               = '0;
    m_ready              = 1'b0;
    is_stalling          = 1'b0;
    is_recording         = 1'b1;
    was_waiting          = 1'b0;
    ready_random         = 32'h2545f491;
    random               = 32'h9e3779b9;
    accepted             = 0;
    expected_count       = 0;
    checked_count        = 0;
    mismatch_count       = 0;
    protocol_error_count = 0;
    high_count           = 0;
    low_count            = 0;
    cycle                = 0;
    last_move_cycle      = 0;
    input_stall_count    = 0;
    output_stall_count   = 0;
    recorded_count       = 0;
    first_output_cycle   = 0;
    last_output_cycle    = 0;
    repeat (4) @(negedge clk);
    reset = 1'b0;

    read_and_load_coefficients(coefficients_path);

    send_signal(signal_path);
    drain;
    is_recording = 1'b0;

    send_saturating;
    drain;
    send_random(cycle + 4096);
    drain;
    for (int i = 0; i < PAIRS; i = i + 1) load_coefficient(i, COEFF_LOW);
    send_saturating;
    drain;
    for (int i = 0; i < PAIRS; i = i + 1) begin
      random = xorshift32(random);
      load_coefficient(i, $signed(random[31-:COEFF_BITS]));
    end
    send_random(cycle + 2048 > cycles ? cycle + 2048 : cycles);
    drain;
    finish_run;
  end

  task automatic finish_run;
    integer signal_cycles, signal_samples;
    if (outputs_file != 0) $fclose(outputs_file);
    // From output to output, so that filling and draining the pipeline do not count.
    signal_cycles  = last_output_cycle - first_output_cycle;
    signal_samples = (recorded_count - 1) * DECIMATION;
    // A run that never stalled or never clipped has not tested what it is there to test.
    is_pass = mismatch_count == 0 && protocol_error_count == 0
           && checked_count == accepted / DECIMATION && recorded_count > 1
           && high_count > 0 && low_count > 0
           && input_stall_count > 0 && output_stall_count > 0;
    $write("RESULT signal_samples=%0d signal_cycles=%0d", signal_samples, signal_cycles);
    $write(" samples=%0d outputs=%0d", accepted, checked_count);
    $write(" mismatches=%0d protocol_errors=%0d", mismatch_count, protocol_error_count);
    $write(" saturated_high=%0d saturated_low=%0d", high_count, low_count);
    $write(" input_stalls=%0d output_stalls=%0d", input_stall_count, output_stall_count);
    $display(" cycles=%0d", cycle);
    if (!is_pass) begin
      $display("FAIL: %0d of %0d outputs differ, %0d protocol errors", mismatch_count,
               checked_count, protocol_error_count);
      $fatal(1, "test bench failed");
    end
    $display("PASS: %0d outputs match, %0.3f cycles per sample", checked_count,
             $itor(signal_cycles) / $itor(signal_samples));
    $finish;
  endtask

endmodule

`default_nettype wire
