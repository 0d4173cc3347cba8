"""Where arrays live, which backends there are, and what computing needs of the machine."""
