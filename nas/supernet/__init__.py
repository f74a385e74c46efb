"""Supernets: one network whose weights all networks of a search space share."""
