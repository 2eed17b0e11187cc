"""The program that runs tests inside a box: standard library only, sent as text."""
