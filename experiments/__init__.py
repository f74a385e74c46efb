"""How the bundled models and tables were made, and what the searches and trainings are worth."""
