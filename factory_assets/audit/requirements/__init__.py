"""What regulations and guidance ask about a model: data files, and the catalogue that reads them.

What a person answers belongs in a pipeline's `governance.yaml`; nothing here judges conformity.
"""
