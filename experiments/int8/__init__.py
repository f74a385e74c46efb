"""Accuracy and latency of int8 graphs: ours, and those of onnxruntime's own quantizer."""
