"""What a record can be read as: text, figure, animation, page."""
