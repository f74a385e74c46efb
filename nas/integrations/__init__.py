"""Both ways with other engines: our strategies in theirs, and our problems as their objectives."""
