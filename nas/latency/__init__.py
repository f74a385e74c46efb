"""Latency tables: predicting with them, and measuring them."""
