"""Pages: the door in front of every UI."""
