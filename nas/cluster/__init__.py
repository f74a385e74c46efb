"""Work on a Ray cluster: joining one, and training one network with several of its workers."""
