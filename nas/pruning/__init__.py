"""Which channels of a network can go, and the NetAdapt algorithm that decides which do."""
