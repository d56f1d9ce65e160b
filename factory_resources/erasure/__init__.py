"""Values in a home: where they are, in whatever form, and how they are replaced.

Here belongs what looks for given values and replaces them in files and databases, and the manifest
that says which rows were erased. Whose values they are, and which files are rewritten or entered
again, belongs to whoever asks.
"""
