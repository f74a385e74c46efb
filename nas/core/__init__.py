"""What everything else stands on: errors, files, records, plugins, run folders, workers."""
