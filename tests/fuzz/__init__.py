"""Mutated inputs for whatever reads files of others: each is read, or refused with one sentence (ValueError).

`python -m tests.fuzz --inputs 30000`
"""
