"""The names and shapes that other libraries give the tensors of a network."""
