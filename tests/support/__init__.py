"""Things that tests share: an oracle, strategies, fakes of the disk."""
