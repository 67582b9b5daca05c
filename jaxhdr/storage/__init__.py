"""What lies in a run folder or in a weight file: parameters, checkpoints, the log."""
