"""The program that serves a bwrap box from inside it: standard library of Python 3.8 only."""
