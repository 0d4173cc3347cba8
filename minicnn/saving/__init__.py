"""Models, weights and trainings in files, and objects as plain dictionaries."""
