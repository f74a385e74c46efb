"""Execute tasks: the interface of runners, and joining a Ray cluster."""
