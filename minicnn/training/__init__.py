"""Training: losses and metrics of a model, steps, batches, and what is said meanwhile."""
