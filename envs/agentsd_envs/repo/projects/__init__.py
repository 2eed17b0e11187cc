"""Small pure-Python programs and their tests, from which ``repair`` makes tasks.

They know nothing of agentsd. Tests are ``unittest`` methods named as what the program does, in the
third person, and compare with literals only: ``answers`` explains why.
"""
