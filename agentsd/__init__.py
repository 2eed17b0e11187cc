"""Targeted on-policy self-distillation for tool-using language models."""
