"""The names and shapes of a network's tensors in other libraries."""
