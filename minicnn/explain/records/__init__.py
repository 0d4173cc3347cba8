"""What meets what: the records of operations, on plain arrays."""
