"""Snapshots as git commits: written into a repository's object database, and nowhere else."""
