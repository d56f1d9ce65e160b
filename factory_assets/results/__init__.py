"""The results of stages, which the next stages read, and access to the latest ones.

Computing them belongs in `stages`; storing them, in `factory_resources.tracking`.
"""
