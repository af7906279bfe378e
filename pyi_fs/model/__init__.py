"""What a workspace is: trees, mutations, refs. Pure: no clock, no dice, no disk, no log."""
