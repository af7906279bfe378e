"""The works: what is done on each peer. One file each; a work adds samples to the results."""
