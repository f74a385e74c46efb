"""Search, train, NetAdapt, scale and export in one pipeline, which resumes after a kill."""
