"""What is learned: a task says what fits an architecture, its loss, its score and its metric."""
