"""`factory new`: a declaration drafted from a data file."""
