"""The whole line: search, train, NetAdapt, scale, export; each part goes on after a kill."""
