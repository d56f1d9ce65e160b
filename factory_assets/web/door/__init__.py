"""The door itself: who may come in, by which login, and which application answers.

What a role may do in an application belongs beside the application: `web.dagster`, `web.mlflow`.
"""
