"""Quantization of trained networks: calibration, sensitivity, accuracy as the runtime has it."""
