"""Prune channels: which ones can be cut, and the NetAdapt algorithm that chooses them."""
