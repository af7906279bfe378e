"""pyi-fs: a copy-on-write filesystem for AI-agent sandboxes."""

__version__ = "0.1.0"
