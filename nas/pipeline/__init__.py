"""One pipeline of search, training, NetAdapt, scaling and export that resumes after a kill."""
