"""Each kind of declared source, found and ready to be read."""
