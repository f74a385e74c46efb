"""The torch side: models built from lowered architectures. Importing it imports torch."""
