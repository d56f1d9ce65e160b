"""The values that one stage hands to the next, and the latest of them.

How they are computed belongs in `stages`; how they are stored, in `factory_resources.tracking`.
"""
