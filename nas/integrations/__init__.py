"""Other engines: our strategies inside them, and our problems as their objectives."""
