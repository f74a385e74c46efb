"""Reports: numbers as tables for the terminal, and pictures."""
