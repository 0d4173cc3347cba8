"""The worked examples of the course, computed anew, as a gallery."""
