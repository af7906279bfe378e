"""Durable bytes: the one storage interface and what is kept through it.

Synchronous; knows no event loop.
"""
