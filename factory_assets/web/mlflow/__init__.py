"""MLflow's UI behind the front door: which operations it lets through, and the files it shows.

Who the visitor is belongs in `web.door`; runs and versions, in `factory_resources.tracking`.
"""
