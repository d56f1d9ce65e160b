"""What others read: model versions in formats of others, and records of others. Not the dossier."""
