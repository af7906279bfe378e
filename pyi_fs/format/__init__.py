"""What a store looks like in bytes: pure codecs, as `docs/on-disk-format.md` describes them."""
