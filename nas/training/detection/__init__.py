"""Detectors in torch: how outputs become boxes, and how they are taught and scored."""
