"""A GPU that the CPU plays: functions, streams and memory of CuPy, and the CUDA kernels."""
