"""Predict accuracy: from picks, from features, from untrained networks, from short trainings."""
