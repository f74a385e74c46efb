"""The foundation of all other packages: errors, files, records, plugins, run folders, workers."""
