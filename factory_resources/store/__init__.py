"""Tables, records and models of a factory on S3-compatible storage, which several homes share.

Where it is belongs in `location`, requests to it in `client`, what of a home is there in `store`.
Logs of tables belong in `tables.shared_log`, storage that pipelines read from in `sources`.
"""
