"""Environments of Python models: what a model needs (plan.py) and how it is made (build.py).

Standard library only: both run with whatever interpreter the server was given.
"""
