"""How the bundled models and tables were made, and how good searches and trainings are."""
