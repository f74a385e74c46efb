"""Predicting accuracy: from picks, from untrained networks, from short trainings."""
