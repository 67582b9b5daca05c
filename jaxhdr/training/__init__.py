"""Training: the step, its loss, and the loop around it."""
