"""`factory new`: draft a declaration from a data file."""
