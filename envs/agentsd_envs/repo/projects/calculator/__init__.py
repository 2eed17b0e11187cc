"""Evaluate arithmetic written as text, with variables and functions."""
