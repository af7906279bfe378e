"""The `.pyi/` directory: text in, text out, in front of the engine.

Knows views and users, but no FUSE.
"""
