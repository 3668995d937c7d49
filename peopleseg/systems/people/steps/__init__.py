"""The Python steps of the people system, a file a step.

A server runs each in a process of its own, which imports that file alone.
"""
