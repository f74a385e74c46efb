"""Training networks on images."""
