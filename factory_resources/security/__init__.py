"""Who may do what, and what stays secret: logins, sessions, tokens, keys, the request guard.

Who gets which right is decided in `factory_assets`; the boundary around runs has its own package.
"""
