"""The FUSE adapter: requests of the kernel become calls of the engine. No decisions here."""
