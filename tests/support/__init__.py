"""What tests share: oracles, fakes of storage, strategies, workspaces.

Nothing is imported here: most processes that a run starts begin with this file.
"""
